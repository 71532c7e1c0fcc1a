"""The count of an election, over as many runs as it takes, and the offices that follow from it.

A run receives papers, then moves them from pile to pile, until it has used its gas; what it has not finished
stays in the state, and the next run goes on from there, a second later. So no number of papers stops a block,
and where a run ends changes nothing: the lot comes from all papers, and a stage looks at no order of them.
A count that one run finishes leaves no page behind.

How papers move is `protocol/elections/stv.py`; who runs this when is `proposals.py`.

*Source*: contracts.md D18, 3.3, 5.6 (a tally in chunks, by anybody or a job).
"""

from itertools import islice
from typing import Final, TypeAlias

from protocol import codec, crypto
from protocol.contracts.auth import holds_role
from protocol.contracts.members.records import ID as MEMBERS_ID
from protocol.contracts.members.records import get_member
from protocol.contracts.voting.elections import (
    APPROVAL,
    BUNDLES,
    CANDIDACY,
    CANDIDATE,
    CANDIDATES,
    ELECTED,
    ELECTIONS,
    GRANT_ROLE_METHOD,
    IN_OFFICE,
    PAPER,
    PREFERENCES_MAX,
    SEATS_MAX,
    get_election,
)
from protocol.contracts.voting.records import ID, STATE
from protocol.elections.approval import elect_by_approval
from protocol.elections.stv import (
    CANDIDATES_MAX,
    UNIT,
    Action,
    Ballots,
    Counting,
    Paper,
    Piles,
    Progress,
    Stage,
    begin_count,
    compute_quota,
)
from protocol.vm.context import Context, fail
from protocol.vm.keys import uint_key
from protocol.vm.kinds import BOOL, HASH, U8, U32, U63, Data, Field, Fields, Integer, Many, Maybe
from protocol.vm.program import NO_ACTOR
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

RUN_GAS: Final = 600_000
"""After this a run stops; the rest of a job's gas saves the count, or gives all seats their office."""
PAGE_PAPERS: Final = 64
"""Different papers on a page of a pile; a step receives or moves so many."""
RECEIVE_GAS: Final = 40
"""For each different paper: it goes into the lot, and to its first preference."""
NAME_GAS: Final = 2
"""For each name on it, when it is received: a count looks at it once at most."""
MOVE_GAS: Final = 20
"""For each different paper, each time it moves."""
STEP_GAS: Final = 300
"""For a step of the count: who is next, by all stages so far."""

RECEIVING: Final = 1
MOVING: Final = 2
CLEARING: Final = 3
COUNTED: Final = 4

_SIGNIFICANT: Final = Many(CANDIDATE, SEATS_MAX)
_PARTS: Final = Many(U63, CANDIDATES_MAX)
_PAPER: Final = Fields(
    (
        Field("count", U63),
        Field("value", Integer("parts", 0, UNIT)),
        Field("ranking", PAPER),
        Field("place", Integer("place", 0, PREFERENCES_MAX - 1), "of their holder in it"),
    )
)

CountRow: TypeAlias = tuple[
    int,
    int | None,
    int,
    bytes,
    bytes,
    int,
    tuple[bool, ...],
    tuple[int, ...],
    int,
    tuple[int, ...],
    tuple[int, ...],
    tuple[int, int, int] | None,
]
"""(schema, leaver, phase, last paper, papers, pages, continuing, votes, non-transferable, elected, pending,
moving)"""
StageRow: TypeAlias = tuple[int, int, int | None, tuple[int, ...], int, int]
PageRow: TypeAlias = tuple[int, tuple[Paper, ...]]

COUNTS: Final[Table[CountRow]] = Table(
    ID,
    30,
    "count",
    (uint_key("proposal", 32),),
    (
        Field("leaver", Maybe(CANDIDATE), "whose seat is filled; nil: all seats"),
        Field("phase", U8, "1 receives papers, 2 moves them, 3 clears its pages, 4 counted"),
        Field("last", Data("key", 0, 64), "of the bundle received last"),
        Field("papers", HASH, "of all received, from which the lot comes"),
        Field("pages", U32, "written so far"),
        Field("continuing", Many(BOOL, CANDIDATES_MAX)),
        Field("votes", _PARTS, "of each candidate, in 100,000ths; by approval: papers"),
        Field("non_transferable", U63),
        Field("elected", _SIGNIFICANT, "so far, in order"),
        Field("pending", _SIGNIFICANT, "of them, whose surplus has not moved"),
        Field(
            "moving",
            Maybe(Fields((Field("candidate", CANDIDATE), Field("multiplied", U63), Field("divided", U63)))),
            "whose papers move now, and how their values change",
        ),
    ),
    doc="Where the count of an election stands.",
)
STAGES: Final[Table[StageRow]] = Table(
    ID,
    31,
    "stage",
    (uint_key("proposal", 32), uint_key("stage", 8)),
    (
        Field("action", U8, "1 first preferences, 2 surplus, 3 exclusion"),
        Field("candidate", Maybe(CANDIDATE)),
        Field("votes", _PARTS, "of each candidate, in 100,000ths"),
        Field("non_transferable", U63),
        Field("lost", U63, "by rounding"),
    ),
    doc="The stages of a count, as far as it has come.",
)
PAGES: Final[Table[PageRow]] = Table(
    ID,
    32,
    "page",
    (uint_key("proposal", 32), uint_key("candidate", 8), uint_key("page", 32)),
    (Field("papers", Many(_PAPER, PAGE_PAPERS)),),
    doc="Papers by their holder, while a count waits for its next run.",
)


class _Pages:
    """The piles of a count on pages: those that are being filled in memory, those that are full in the table.

    A pile that moves gets nothing any more, so its pages are taken in the order in which they were written.
    """

    __slots__ = ("_number", "_open", "_taken", "_view", "written")

    def __init__(self, view: View, number: int, candidates: int, written: int) -> None:
        self._view = view
        self._number = number
        self._open: list[list[Paper]] = [[] for _ in range(candidates)]
        self._taken = [0] * candidates
        self.written = written

    def add(self, candidate: int, paper: Paper) -> None:
        """Put a paper on a pile."""
        page = self._open[candidate]
        page.append(paper)
        if len(page) == PAGE_PAPERS:
            self._write(candidate)

    def take(self, candidate: int) -> tuple[Paper, ...]:
        """Take a page of a pile."""
        view = self._view
        page, self._open[candidate] = tuple(self._open[candidate]), []
        if not page:
            start = PAGES.key(self._number, candidate, self._taken[candidate])
            found = next(PAGES.scan(view, self._number, candidate, start=start), None)
            if found is not None:
                key, (_, page) = found
                PAGES.delete(view, key)
                at = PAGES.parts(key)[2]
                assert type(at) is int
                self._taken[candidate] = at + 1
        view.charge(MOVE_GAS * len(page))
        return page

    def save(self) -> None:
        """Write the pages that are not full."""
        for candidate, page in enumerate(self._open):
            if page:
                self._write(candidate)

    def _write(self, candidate: int) -> None:
        page, self._open[candidate] = tuple(self._open[candidate]), []
        PAGES.put(self._view, PAGES.key(self._number, candidate, self.written), (SCHEMA, page))
        self.written += 1


class _Run:
    """A count while it runs: what its rows keep, and the machine that goes on from it."""

    __slots__ = (
        "_approvals",
        "_counting",
        "_election",
        "_last",
        "_leaver",
        "_number",
        "_papers",
        "_piles",
        "_stages_kept",
        "_view",
        "elected",
        "phase",
    )

    def __init__(
        self, view: View, number: int, row: CountRow, stages: tuple[Stage, ...], piles: Piles
    ) -> None:
        self._view = view
        self._number = number
        self._election = get_election(view, number)
        self._piles = piles
        _, self._leaver, self.phase, self._last, self._papers, _, *_ = row
        self.elected = row[9]
        self._stages_kept = len(stages)
        self._approvals = list(row[7]) if self._election[4] == APPROVAL else None
        self._counting = self._resume(Progress(row[6], row[7], row[8], row[9], row[10], row[11], stages))

    def step(self) -> None:
        """Receive some papers, move some, or clear some pages."""
        if self.phase == RECEIVING:
            self._receive()
        elif self.phase == MOVING:
            self._view.charge(STEP_GAS)
            if not self._counting.step():
                self.elected, self.phase = self._counting.result().elected, CLEARING
        else:
            self._clear()

    def save(self, piles: _Pages) -> None:
        """Write where the count stands."""
        view, number, progress = self._view, self._number, self._counting.progress()
        if self.phase < CLEARING:
            piles.save()
        for at in range(self._stages_kept, len(progress.stages)):
            stage = progress.stages[at]
            shown = (int(stage.action), stage.candidate, stage.votes, stage.non_transferable, stage.lost)
            STAGES.put(view, STAGES.key(number, at), (SCHEMA, *shown))
        row: CountRow = (
            *(SCHEMA, self._leaver, self.phase, self._last, self._papers, piles.written),
            progress.continuing,
            progress.votes if self._approvals is None else tuple(self._approvals),
            progress.non_transferable,
            self.elected if self.phase >= CLEARING else progress.elected,
            progress.pending,
            progress.moving,
        )
        COUNTS.put(view, COUNTS.key(number), row)

    def _receive(self) -> None:
        view = self._view
        start = self._last + b"\x00" if self._last else None
        found = list(islice(BUNDLES.scan(view, self._number, start=start), PAGE_PAPERS))
        names = sum([len(row[2]) for _, row in found])
        view.charge(RECEIVE_GAS * len(found) + NAME_GAS * names)
        for key, (_, amount, ranking) in found:
            self._last = key
            self._papers = crypto.sha256(self._papers + key + amount.to_bytes(8, "big"))
            if self._approvals is None:
                self._counting.receive(Ballots(amount, ranking))
            else:
                for candidate in ranking:
                    self._approvals[candidate] += amount
        if len(found) < PAGE_PAPERS:
            self._end_receiving()

    def _end_receiving(self) -> None:
        progress = self._counting.progress()
        if self._approvals is None:
            self._counting, self.phase = self._resume(progress), MOVING
            return
        named = [
            votes if stands else 0 for votes, stands in zip(self._approvals, progress.continuing, strict=True)
        ]
        self.elected = elect_by_approval(named, self._election[2], self._draw_lot())
        self.phase = COUNTED

    def _clear(self) -> None:
        """Delete pages that did not move to the end."""
        found = list(islice(PAGES.scan(self._view, self._number), PAGE_PAPERS))
        for key, _ in found:
            PAGES.delete(self._view, key)
        if len(found) < PAGE_PAPERS:
            self.phase = COUNTED

    def _resume(self, progress: Progress) -> Counting:
        return Counting(progress, self._piles, self._election[2], self._draw_lot())

    def _draw_lot(self) -> list[int]:
        """Draw the lot from the papers received so far; nothing asks for it before all are."""
        drawn = [crypto.sha256(self._papers + c.to_bytes(1, "big")) for c in range(self._election[5])]
        return sorted(range(self._election[5]), key=drawn.__getitem__)


def _begin(view: View, number: int, leaver: int | None) -> CountRow:
    """Return a count before its first paper; without anybody to elect it is over."""
    gone = frozenset(n for n, (_, row) in enumerate(CANDIDATES.scan(view, number)) if row[2])
    candidates = get_election(view, number)[5]
    papers = crypto.sha256(codec.encode(("lot", number)))
    if len(gone) == candidates:
        return (SCHEMA, leaver, COUNTED, b"", papers, 0, (), (), 0, (), (), None)
    begun = begin_count(candidates, gone)
    return (
        *(SCHEMA, leaver, RECEIVING, b"", papers, 0, begun.continuing, begun.votes),
        *(begun.non_transferable, begun.elected, begun.pending, begun.moving),
    )


def get_stages(view: View, number: int) -> tuple[Stage, ...]:
    """Return the stages of a count, as far as it has come; by approval there are none."""
    return tuple([Stage(Action(row[1]), *row[2:]) for _, row in STAGES.scan(view, number)])


def show_count(view: View, number: int) -> tuple[int, tuple[int, ...], tuple[Stage, ...]] | None:
    """Return quota, who is elected so far, and the stages of the last count of an election, or None."""
    row = COUNTS.get(view, COUNTS.key(number))
    if row is None:
        return None
    stages = get_stages(view, number)
    quota = compute_quota(sum(stages[0].votes) // UNIT, get_election(view, number)[2]) if stages else 0
    return quota, row[9], stages


def go_on(view: View, number: int, leaver: int | None = None) -> tuple[int, ...] | None:
    """Count an election for one run; returns the elected when it is over, or None.

    Args:
        leaver: whose seat is filled; None for all seats.

    Cost: at least one step, and none more after `RUN_GAS`; beside it what it takes to come back to the count
        and to save it.
    """
    row = COUNTS.get(view, COUNTS.key(number))
    if row is None or row[1] != leaver:
        for key, _ in list(STAGES.scan(view, number)):
            STAGES.delete(view, key)
        row = _begin(view, number, leaver)
    if row[2] == COUNTED:
        return row[9]
    stages = get_stages(view, number)
    piles = _Pages(view, number, len(row[6]), row[5])
    run = _Run(view, number, row, stages, piles)
    begun = view.gas_used
    while run.phase != COUNTED and view.gas_used - begun < RUN_GAS:
        run.step()
    run.save(piles)
    return run.elected if run.phase == COUNTED else None


def is_counting(view: View, number: int) -> bool:
    """Tell whether a count has begun and is not over."""
    row = COUNTS.get(view, COUNTS.key(number))
    return row is not None and row[2] != COUNTED


# --- what follows from it


def make_result(ctx: Context, number: int) -> bytes | None:
    """Count an election, and keep who is elected; returns the program that gives them the office.

    Returns: None while the count goes on; empty when nobody stood.
    """
    view = ctx.view
    elected = go_on(view, number)
    if elected is None:
        return None
    row = get_election(view, number)
    ELECTIONS.put(view, ELECTIONS.key(number), (*row[:6], elected, int(ctx.environment.time) + row[3]))
    ctx.emit(ELECTED, number, tuple(_member_of(view, number, candidate) for candidate in elected))
    return _make_program(ctx, number, elected, row[1], row[3])


def make_successor(ctx: Context, number: int, leaver: int) -> tuple[bytes, int] | None:
    """Fill the seat of an elected candidate who has left the office, by counting the same papers again.

    Returns: the program that gives the office for the rest of the term, and the successor; None while the
        count goes on.

    Raises:
        CallFailed: NO_ELECTION, IN_OFFICE (still there, or was never elected), CANDIDACY (nobody is left),
            STATE (another seat is counted now).
    """
    view, now = ctx.view, int(ctx.environment.time)
    row = get_election(view, number)
    counted = COUNTS.get(view, COUNTS.key(number))
    if counted is not None and counted[2] != COUNTED:
        if counted[1] != leaver:
            fail(STATE, "voting.counting", counted[1], leaver)
        go_on(view, number, leaver)  # and no more: whatever is said below, a count comes to its end
        return None
    if leaver not in row[6] or now >= row[7]:
        fail(IN_OFFICE, "voting.elected", None, leaver)
    member = _member_of(view, number, leaver)
    if holds_role(view, get_member(view, member).account, row[1]):
        fail(IN_OFFICE, "voting.in_office", None, leaver)
    CANDIDATES.put(view, CANDIDATES.key(number, leaver), (SCHEMA, member, True))
    elected = go_on(view, number, leaver)
    if elected is None:
        return None
    fresh = [candidate for candidate in elected if candidate not in row[6]]
    if not fresh:
        fail(CANDIDACY, "voting.countback", 1, 0)
    seated = tuple(fresh[0] if candidate == leaver else candidate for candidate in row[6])
    ELECTIONS.put(view, ELECTIONS.key(number), (*row[:6], seated, row[7]))
    ctx.emit(ELECTED, number, (_member_of(view, number, fresh[0]),))
    return _make_program(ctx, number, (fresh[0],), row[1], row[7] - now), fresh[0]


def _make_program(ctx: Context, number: int, elected: tuple[int, ...], role: str, term: int) -> bytes:
    if not elected:
        return b""
    view, version = ctx.view, ctx.registry.by_id[MEMBERS_ID].version
    accounts = [get_member(view, _member_of(view, number, candidate)).account for candidate in elected]
    calls = tuple((MEMBERS_ID, GRANT_ROLE_METHOD, NO_ACTOR, (account, role, term)) for account in accounts)
    return codec.encode((((MEMBERS_ID, version),), calls))


def _member_of(view: View, number: int, candidate: int) -> int:
    row = CANDIDATES.get(view, CANDIDATES.key(number, candidate))
    assert row is not None, "papers name candidates"
    return row[1]
