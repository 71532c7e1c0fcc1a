"""A seeded world: real `Consensus` machines; simulated clock, network, disks and crashes; the oracle.

One heap of events drives everything; the only chance is one seeded generator, so a seed is a history. First a
storm in which faults happen, then calm in which every node must reach new heights in bounded time.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import assert_never

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, VoteKind
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.consensus.effects import (
    Alarm,
    Broadcast,
    BuildBlock,
    CheckBlock,
    CommitBlock,
    Effect,
    PersistSafety,
    ReportEvidence,
    RequestSync,
    Send,
    ServeDecided,
    SetTimer,
)
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import (
    BlockBuilt,
    BlockChecked,
    BlockCommitted,
    HandOverAsked,
    Input,
    OwnKey,
    Received,
    Released,
    Start,
    TimerFired,
    Verdict,
    WorkWaiting,
)
from protocol.consensus.messages import (
    Decided,
    Grant,
    Message,
    Proposal,
    VoteRequest,
    attach_signature,
    compute_sign_digest,
    epoch_of,
    height_of,
)
from protocol.consensus.safety import decode_safety
from protocol.consensus.timeouts import TimerKey, TimerKind
from protocol.types import Height, PublicKey
from tests.simulation import ledger
from tests.simulation.disk import Disk, Row, decode_plain_block
from tests.simulation.faults import Faults, Plan, draw_faults
from tests.simulation.ledger import GENESIS_HASH, ORIGIN, EpochPlan, FakeSigner, Head, Signer
from tests.simulation.liar import Liar
from tests.simulation.network import Network, Parcel
from tests.simulation.oracle import Invariant, Oracle, Violation

CALM_HEIGHTS = 5
"""New heights that every node must reach after the storm."""

STEPS_MAX = 200_000
"""Events of a run; a storm has some 50,000 at most."""

STEPS_A_HEIGHT_MAX = 5_000
"""Events of a height in a long storm, on average."""

STORM_FACTOR_MAX = 2
"""A long storm ends when heights take so many longest election timeouts each; calm must bring them then."""

HELD_MAX = 128
"""Messages of the next epoch that wait until a node has crossed and can verify them."""

CALM_ELECTIONS_MAX = 40
"""Bound of the calm, in longest election timeouts, until things go their way."""

CALM_ELECTIONS_A_HEIGHT_MAX = 4
"""And what each further height may take."""

SIGNED_KINDS = (Proposal, Vote, VoteRequest, Grant)


class Node:
    """A machine with what its shell would keep for it."""

    __slots__ = (
        "build_wanted",
        "chain",
        "clock_ppm",
        "disk",
        "held",
        "incarnation",
        "index",
        "is_forgetful",
        "is_held",
        "is_up",
        "known",
        "log",
        "machine",
        "paused_until",
        "signer",
        "sync_target",
        "timers",
        "voted_height",
        "waits",
    )

    def __init__(self, index: int, signer: Signer, machine: Consensus, clock_ppm: int) -> None:
        self.index = index
        self.signer = signer
        self.machine = machine
        self.clock_ppm = clock_ppm
        self.disk = Disk()
        self.chain: list[Row] = []
        self.incarnation = 0
        self.is_up = False
        # The double-sign guard: the newest height at which this node voted. It outlives every damage.
        self.voted_height = 0
        self.is_held = False
        self.is_forgetful = False
        self.paused_until = 0
        self.timers: dict[TimerKind, TimerKey] = {}
        self.waits: dict[tuple[int, int], int] = {}
        self.build_wanted: BuildBlock | None = None
        self.sync_target = 0
        self.held: list[Parcel] = []
        self.known: dict[bytes, Block] = {}
        self.log: list[tuple[Input, list[Effect]]] = []

    @property
    def head(self) -> Head:
        return ledger.head_after(*self.chain[-1]) if self.chain else ORIGIN

    def head_with(self, block_id: bytes) -> Head | None:
        """Return the head if it is this block, or the head as it will be once this proposal is decided."""
        return ledger.head_with(block_id, self.head, self.known)


Work = Input | Parcel | Callable[[], None]


class World:
    """Run one seed.

    Args:
        faults: drawn from the seed when not given.
        make_signer: real or fake signatures.
        heights: the storm lasts until so many blocks are final, and calm brings what it did not; 0 for its
            drawn length.

    Attributes:
        counts: how often each kind of fault happened.
    """

    def __init__(
        self,
        seed: int,
        nodes: int | None = None,
        faults: Faults | None = None,
        make_signer: type[FakeSigner] | type[ledger.RealSigner] = FakeSigner,
        plan: Plan = Plan.ALL,
        heights: int = 0,
    ) -> None:
        self.random = Random(seed)
        self.faults = faults = faults or draw_faults(seed, self.random, nodes, plan)
        self.heights = heights
        self.now_ms = 0
        self.steps = 0
        self.counts: Counter[str] = Counter()
        self._heap: list[tuple[int, int, int, int, Work]] = []
        self._sequence = 0
        self.is_calm = False
        self.signers: list[Signer] = [make_signer(i) for i in range(self.faults.nodes)]
        self.by_key = {signer.public_key: i for i, signer in enumerate(self.signers)}
        self.plan = self._draw_plan()
        doubled = sorted(self.faults.twins)
        self.signers += [self.signers[twin] for twin in doubled]
        ppm = self.faults.clock_ppm
        self.nodes = [
            Node(i, signer, self._make_machine(signer, []), self.random.randint(-ppm, ppm))
            for i, signer in enumerate(self.signers)
        ]
        # By epoch and validator, the first node that has the key; by epoch and node, the validator it is.
        self._nodes_of = [[self.by_key[v.consensus_key] for v in r.validators] for r in self.plan.records]
        self._places = [[r.index_of(s.public_key) for s in self.signers] for r in self.plan.records]
        self.pairs = [[self.nodes[twin], self.nodes[faults.nodes + i]] for i, twin in enumerate(doubled)]
        self.liars = {i: Liar(self.random, self._sign_as(self.nodes[i])) for i in sorted(faults.liars)}
        self.network = Network(faults, self.random, self.counts)
        self.network.rushing = faults.liars if faults.is_rushing else frozenset()
        self._is_verified = faults.with_codec or make_signer is ledger.RealSigner
        bad = {node.index for pair in self.pairs for node in pair} | faults.liars
        self.correct = [n for n in self.nodes if n.index not in bad | faults.silent]
        self.oracle = Oracle(
            self.plan,
            make_signer.verify,
            self.faults.bad_builders,
            frozenset(bad),
            frozenset(self.signers[index].public_key for index in bad),
        )

    @property
    def crashes(self) -> int:
        """Return how often a node crashed."""
        return self.counts["crash"] + self.counts["crash inside effects"]

    # --- set-up

    def _draw_plan(self) -> EpochPlan:
        faults = self.faults
        everyone = list(range(faults.nodes))
        seals: list[tuple[int, list[int]]] = []
        height = 0
        for number in range(1, faults.seals + 1):
            height += self.random.randint(1, max(12, self.heights // (faults.seals + 1)))
            if faults.first:
                engine = faults.engines[min(number, len(faults.engines) - 1)]
                size = 3 if engine is EngineKind.RAFT else 4
            elif faults.engines == (EngineKind.BFT,):
                size = self.random.randint(4, len(everyone))
            else:
                is_one_bad = faults.bad_builders or faults.rotten or faults.mute
                least = len(everyone) if is_one_bad else max(1, len(everyone) - 1)
                size = self.random.randint(least, len(everyone))
            seals.append((height, self.random.sample(everyone, size)))
        return EpochPlan(self.signers, list(faults.first) or everyone, seals, *faults.engines)

    def _make_machine(self, signer: Signer, chain: list[Row]) -> Consensus:
        height = Height(len(chain))
        block_id = chain[-1][0].id if chain else ORIGIN.block_id
        record = self.plan.record_of(height + 1)
        return Consensus(GENESIS_HASH, signer.public_key, record, height, block_id, self.faults.timeouts)

    # --- the run

    def run(self) -> None:
        """Run the storm and the calm.

        Raises:
            Violation: an invariant does not hold, or the calm brought no progress.
        """
        for node in self.nodes:
            self._begin(node)
            self._poll_later(node)
        self._trouble_later()
        longest_ms = self.faults.timeouts.election_ms_max
        if self.heights:
            until_ms = STORM_FACTOR_MAX * self.heights * longest_ms
            self._run_until(until_ms, lambda: self.oracle.height >= self.heights)
        else:
            self._run_until(self.faults.storm_ms, lambda: False)
        self._calm_down()
        target = max(self.oracle.height + CALM_HEIGHTS, self.heights)
        elections = CALM_ELECTIONS_MAX + CALM_ELECTIONS_A_HEIGHT_MAX * (target - self.oracle.height)
        deadline_ms = self.now_ms + elections * longest_ms
        self._run_until(deadline_ms, lambda: all(len(node.chain) >= target for node in self.correct))
        if any(len(node.chain) < target for node in self.correct):
            heights = [len(node.chain) for node in self.nodes]
            raise Violation(Invariant.PROGRESS, f"no progress to height {target} in calm: {heights}")
        for node in self.nodes:
            self._check_replay(node)
        self.oracle.on_end(target, [node.chain for node in self.correct])

    def _begin(self, node: Node) -> None:
        """Let a node start soon, unless it is one that never does."""
        delay_ms = self.random.randint(0, 50)
        if node.index not in self.faults.silent:
            self._push(delay_ms, node, lambda: self._restart(node))

    def _run_until(self, until_ms: int, is_done: Callable[[], bool]) -> None:
        heap, nodes, pop = self._heap, self.nodes, heapq.heappop
        count = 0
        while heap and heap[0][0] <= until_ms:
            time_ms, sequence, index, incarnation, work = pop(heap)
            self.now_ms = time_ms
            node = nodes[index]
            if node.paused_until > time_ms:
                heapq.heappush(heap, (node.paused_until, sequence, index, incarnation, work))
                continue
            if incarnation == -1 or incarnation == node.incarnation:
                if type(work) is Parcel:
                    self._deliver(node, work)
                else:
                    self._do(node, work)
            count += 1
            if not count & 63:
                if count > STEPS_MAX + self.heights * STEPS_A_HEIGHT_MAX:
                    raise Violation(
                        Invariant.PROGRESS, f"more than {count - 1} events: the nodes keep each other busy"
                    )
                if is_done():
                    return
        if not is_done():
            self.now_ms = until_ms

    def _do(self, node: Node, work: Work) -> None:
        if callable(work):
            work()
        elif node.is_up and not isinstance(work, Parcel):
            if isinstance(work, TimerFired) and node.timers.get(work.key.kind) != work.key:
                return
            self.step(node, work)

    def _push(self, delay_ms: int, node: Node, work: Work, any_life: bool = False) -> None:
        self._sequence += 1
        incarnation = -1 if any_life else node.incarnation
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sequence, node.index, incarnation, work))

    def step(self, node: Node, event: Input) -> None:
        """Give a machine an input and carry out its effects; it may crash between any two."""
        self.steps += 1
        record = node.machine.record
        effects = node.machine.step(event)
        if node.machine.record is not record:
            for parcel in node.held:
                self._push(0, node, parcel)
            node.held.clear()
        self.oracle.on_stepped(node.index, node.machine)
        if self.faults.with_replay:
            node.log.append((event, effects))
        crash_step = self.faults.crash_step
        if crash_step and not self.is_calm and self.random.random() < crash_step:
            for effect in effects[: self.random.randint(0, len(effects))]:
                self.perform(node, effect)
            self._crash(node, "crash inside effects")
            return
        for effect in effects:
            self.perform(node, effect)

    def perform(self, node: Node, effect: Effect) -> None:
        """Do what the driver would do."""
        match effect:
            case PersistSafety():
                node.disk.pending.append(effect.record)
            case Send():
                self._post(node, effect.message, (effect.validator,))
            case Broadcast():
                self._post(node, effect.message, range(len(node.machine.record.validators)))
            case SetTimer():
                node.timers[effect.key.kind] = effect.key
                if effect.key.kind is TimerKind.PROPOSE:
                    node.waits[effect.key.height, effect.key.view] = self.now_ms
                delay_ms = effect.delay_ms * (1_000_000 + node.clock_ppm) // 1_000_000
                self._push(delay_ms, node, TimerFired(effect.key))
            case BuildBlock():
                if node.index in self.faults.mute:
                    self.counts["leader mute"] += 1
                    return
                node.build_wanted = effect
                if self.is_calm or self.random.random() >= self.faults.never_build:
                    delay_ms = self.random.randint(*self.faults.build_ms)
                    self._push(delay_ms, node, lambda: self._build(node, effect))
                else:
                    self.counts["block not built"] += 1
            case CheckBlock():
                block = effect.block
                self._push(self._work_ms(), node, lambda: self._check(node, block))
            case CommitBlock():
                self.oracle.on_commit(node.index, effect.block, effect.certificate)
                self._push(
                    self._work_ms(), node, lambda: self._commit(node, effect.block, effect.certificate)
                )
            case ServeDecided():
                if effect.height <= len(node.chain):
                    self._post(node, Decided(*node.chain[effect.height - 1]), (effect.validator,))
            case RequestSync():
                node.sync_target = max(node.sync_target, effect.target_height)
                self._sync_later(node)
            case ReportEvidence():
                self.oracle.on_evidence(node.index, effect.evidence)
            case Alarm():
                self.oracle.on_alarm(node.index, effect.reason)
            case _:
                assert_never(effect)

    # --- the shell's work

    def _work_ms(self) -> int:
        return self.random.randint(0, self.faults.work_ms)

    def _build(self, node: Node, wanted: BuildBlock) -> None:
        head = node.head_with(wanted.parent_id)
        if node.build_wanted is not wanted or head is None:
            return
        node.build_wanted = None
        self.counts["early block"] += head is not node.head and head.block_id != node.head.block_id
        key = node.signer.public_key
        block = ledger.build(head, self.plan, wanted.view, key, self.now_ms)
        is_bad = not self.is_calm and node.index in self.faults.bad_builders
        if is_bad and self.random.random() < self.faults.bad_block:
            self.counts["bad block"] += 1
            block = ledger.spoil(block)
        self.oracle.on_built(block, ledger.is_valid(block, head, self.plan))
        self.oracle.on_checked(node.index, block, Verdict.VALID)
        node.known[block.id] = block
        self.step(node, BlockBuilt(wanted.height, wanted.view, block))

    def _check(self, node: Node, block: Block) -> None:
        if block.height != len(node.chain) + 1:
            return
        verdict = ledger.judge(block, node.head, self.plan)
        node.known[block.id] = block
        wish = self.faults.unwelcome
        if wish and verdict is Verdict.VALID and not self.is_calm and self.random.random() < wish:
            self.counts["block unwelcome"] += 1
            verdict = Verdict.UNWELCOME
            self._push(self.random.randint(*self.faults.build_ms), node, lambda: self._check(node, block))
        self.oracle.on_checked(node.index, block, verdict)
        self.step(node, BlockChecked(block.id, verdict))

    def _commit(self, node: Node, block: Block, certificate: Certificate) -> None:
        if block.height != len(node.chain) + 1:
            return
        node.known.clear()
        node.chain.append((block, certificate))
        node.disk.pending.append((block, certificate))
        next_record = self.plan.seals.get(block.height)
        time_ms = block.header.time_ms
        self._work_later(node)
        own = None if next_record is None else self.take_key(node, next_record)
        self.step(node, BlockCommitted(block.height, block.id, time_ms, certificate, next_record, own))
        if node.is_held and len(node.chain) >= node.voted_height:
            node.is_held = False
            self.step(node, Released())

    def take_key(self, node: Node, record: EpochRecord) -> OwnKey | None:
        """Return the key that a node has in an epoch, if it is another one than before."""
        return None

    def _work_later(self, node: Node) -> None:
        """Let a node hear of a transaction."""
        if self.is_calm or self.random.random() >= self.faults.never_build:
            self._push(self.random.randint(*self.faults.build_ms), node, WorkWaiting())

    # --- network

    def _sign(self, node: Node, message: Message) -> Message:
        if not isinstance(message, SIGNED_KINDS):
            return message
        digest = compute_sign_digest(message, GENESIS_HASH)
        assert digest is not None
        self.oracle.on_signed(node.index, message)
        if isinstance(message, Vote):
            node.voted_height = max(node.voted_height, height_of(message))
        if type(message) is Vote and message.kind is not VoteKind.PREVOTE:
            self.oracle.on_promised(node.index, message, node.disk)
        return attach_signature(message, node.signer.sign(digest))

    def _sign_as(self, node: Node) -> Callable[[Message], Message]:
        return lambda message: self._sign(node, message)

    def _post(self, node: Node, message: Message, validators: Iterable[int]) -> None:
        """Sign a message once what it relies on is durable, and send it to some validators."""
        if node.disk.pending:
            node.disk.sync()
        if node.is_forgetful and not self.oracle.would_sign(node.index, message):
            self.counts["guard refused"] += 1
            return
        parcel = Parcel(node.index, self._sign(node, message))
        if self.faults.with_codec:
            parcel.travel_as_bytes()
        for index in self.network.rushing:
            self.liars[index].learn(parcel.message)
        liar = self.liars.get(node.index)
        nodes, pairs = self._nodes_of[node.machine.record.number], self.pairs
        for validator in validators:
            found = self.nodes[nodes[validator]]
            for target in self.find_targets(node, found.signer.public_key) if pairs else (found,):
                if target is node:
                    if isinstance(message, SIGNED_KINDS):
                        self._push(0, node, parcel)
                elif liar is None:
                    self._transmit(node, target, parcel)
                else:
                    told = liar.twist(parcel.message)
                    if told is not parcel.message:
                        self.counts["lie"] += 1
                    if told is not None:
                        self._transmit(node, target, Parcel(node.index, told))

    def find_targets(self, node: Node, key: PublicKey) -> list[Node]:
        """Say who has a key, as seen from a node."""
        target = self.nodes[self.by_key[key]]
        pair = next((pair for pair in self.pairs if target in pair), None)
        if pair is None:
            return [target]
        if node in pair:
            return [node]
        return self.random.choice((pair[:1], pair[1:], pair))

    def _transmit(self, node: Node, target: Node, parcel: Parcel) -> None:
        for arrival_ms in self.network.list_arrivals_ms(self.now_ms, node.index, target.index):
            self._sequence += 1
            heapq.heappush(self._heap, (arrival_ms, self._sequence, target.index, -1, parcel))

    def _deliver(self, node: Node, parcel: Parcel) -> None:
        if not node.is_up:
            return
        record = node.machine.record
        if epoch_of(parcel.message) == record.number + 1 and len(node.held) < HELD_MAX:
            node.held.append(parcel)
        sender = self._places[record.number][parcel.sender]
        if sender is None:
            return
        if node.index in self.liars:
            self.liars[node.index].learn(parcel.message)
        if self._is_verified:
            parcel.verify(record, node.signer.verify)
        message, waited_ms = parcel.message, 0
        if isinstance(message, Proposal):
            waited_ms = self.now_ms - node.waits.get((message.height, message.view), self.now_ms)
        self.step(node, Received(sender, message, record.number, waited_ms))

    # --- block sync

    def _sync_later(self, node: Node) -> None:
        self._push(self.random.randint(*self.faults.delay_ms) * 4, node, lambda: self._sync(node))

    def _sync(self, node: Node) -> None:
        """Take what some other reachable node has; try again until the target is there."""
        if len(node.chain) >= node.sync_target:
            return
        other = self.random.choice(self.nodes)
        if other is not node and other.is_up and not self.network.is_cut(node.index, other.index):
            for block, certificate in other.chain[len(node.chain) : node.sync_target]:
                if block.header.parent_id != node.head.block_id:
                    return
                self.oracle.on_commit(node.index, block, certificate)
                self._commit(node, block, certificate)
                if not node.is_up:
                    return
        if len(node.chain) < node.sync_target:
            self._push(self.faults.timeouts.election_ms_max, node, lambda: self._sync(node))

    def _poll_later(self, node: Node) -> None:
        self._push(self.faults.timeouts.election_ms_max * 2, node, lambda: self._poll(node), any_life=True)

    def _poll(self, node: Node) -> None:
        """Who does not validate hears nothing from consensus: it asks how far others are."""
        newest = self.plan.record_of(self.oracle.height + 1)
        key = node.signer.public_key
        is_following = node.is_held or node.machine.own_index is None or newest.index_of(key) is None
        if node.is_up and is_following:
            node.sync_target = max(len(other.chain) for other in self.nodes)
            self._sync(node)
        self._poll_later(node)

    # --- trouble

    def _trouble_later(self) -> None:
        self._push(100, self.nodes[0], self._trouble, any_life=True)

    def _trouble(self) -> None:
        """Draw the faults of the next tenth of a second."""
        if self.is_calm:
            return
        faults, random = self.faults, self.random.random
        longest_ms = 4 * faults.timeouts.election_ms_max
        for node in self.nodes:
            if faults.crash and node.is_up and random() < faults.crash / 10:
                self._crash(node, "crash")
            if faults.pause and random() < faults.pause / 10:
                self.counts["pause"] += 1
                node.paused_until = self.now_ms + self.random.randint(1, longest_ms // 2)
            if faults.hand_over and node.is_up and random() < faults.hand_over / 10:
                self.counts["hand-over"] += 1
                self._push(0, node, HandOverAsked())
        everyone = range(faults.nodes)
        if faults.cut and random() < faults.cut / 10:
            side = {i for i in everyone if random() < 0.5}
            pairs = {(a, b) for a in everyone for b in everyone if (a in side) != (b in side)}
            self._cut("cut", frozenset(pairs), self.random.randint(1, longest_ms))
        if faults.cut_one_way and random() < faults.cut_one_way / 10:
            pairs = {(a, b) for a in everyone for b in everyone if random() < 0.3}
            self._cut("one-way cut", frozenset(pairs), self.random.randint(1, longest_ms))
        self._trouble_later()

    def _cut(self, kind: str, pairs: frozenset[tuple[int, int]], duration_ms: int) -> None:
        self.counts[kind] += 1
        heal = self.network.cut(self._sequence, pairs)
        self._push(duration_ms, self.nodes[0], heal, any_life=True)

    def _crash(self, node: Node, kind: str) -> None:
        self.counts[kind] += 1
        if any(abs(len(node.chain) + 1 - seal) <= 1 for seal in self.plan.seals):
            self.counts["crash at a seal"] += 1
        self._check_replay(node)
        node.is_up = False
        node.incarnation += 1
        node.timers.clear()
        node.held.clear()
        node.known.clear()
        node.build_wanted = None
        node.sync_target = 0
        self.counts["write lost"] += node.disk.crash(self.random)
        if node.index in self.faults.rotten:
            self._rot(node)
        node.chain = list(node.disk.chain)
        delay_ms = self.random.randint(1, 3 * self.faults.timeouts.election_ms_max)
        self._push(delay_ms, node, lambda: self._restart(node))

    def _rot(self, node: Node) -> None:
        """Damage the disk of a node that is down; without its safety record it comes back to follow."""
        random, disk = self.random, node.disk
        if disk.chain and random.random() < self.faults.rot:
            self.counts["stored block damaged"] += 1
            disk.rot_block(random)
            self.oracle.on_rotten(node.index)
        if disk.safety is not None and random.random() < self.faults.rot / 2:
            self.counts["safety record damaged"] += 1
            disk.rot_safety(random)
            disk.safety, node.is_forgetful = None, True

    def _restart(self, node: Node) -> None:
        if node.is_up:
            return
        node.is_up = True
        node.machine = self._make_machine(node.signer, node.chain)
        safety = node.disk.safety
        if safety is not None and self.faults.with_codec:
            safety = decode_safety(safety.encode(), decode_plain_block)
        self._work_later(node)
        # W7: what was promised at the height of the last vote is forgotten, so that height is sat out.
        node.is_held = safety is None and len(node.chain) < node.voted_height
        self.counts["promises sat out"] += node.is_held
        self.step(node, Start(safety, node.is_held))

    def _calm_down(self) -> None:
        self.is_calm = True
        self.network.heal_all()
        self.oracle.on_calm(max((node.machine.term for node in self.nodes), default=0))
        for node in self.nodes:
            node.paused_until = 0
            if not node.is_up and node.index not in self.faults.silent:
                self._restart(node)
            elif node.is_up:
                self._work_later(node)
            wanted = node.build_wanted
            if wanted is not None:
                self._build(node, wanted)

    def _check_replay(self, node: Node) -> None:
        """I14: the same inputs give the same effects."""
        if not self.faults.with_replay or not node.log:
            return
        chain = node.chain
        if isinstance(node.log[0][0], Start):
            first = next((e.height for e, _ in node.log if isinstance(e, BlockCommitted)), len(chain) + 1)
            machine = self._make_machine(node.signer, chain[: first - 1])
            for event, effects in node.log:
                if machine.step(event) != effects:
                    raise Violation(
                        Invariant.REPLAY, f"node {node.index} answers {type(event).__name__} in two ways"
                    )
        node.log.clear()
