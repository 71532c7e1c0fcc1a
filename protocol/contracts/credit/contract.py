"""The schema of credit: what a program can call, and what can be asked."""

from typing import Final

from protocol.codec import Value
from protocol.contracts.credit import methods
from protocol.contracts.credit.doors import collect_facts, compute_for, get_table
from protocol.contracts.credit.parts import compute_limit, compute_parts, count_facts, find_band
from protocol.contracts.credit.records import (
    ANSWERED,
    ASSESSOR,
    ATTESTED,
    COUNTER,
    DISPUTE,
    DISPUTE_FIELDS,
    DISPUTES,
    DISPUTES_OPEN,
    ID,
    KIND,
    LOANS,
    MARKS,
    NO_DISPUTE,
    OWN_CASE,
    PART,
    PART_DOC,
    PART_POINTS,
    POINTS,
    RELIEF,
    RELIEF_DAYS_MAX,
    STOOD,
    TABLE,
    TABLE_FIELDS,
    TERMS,
    TOO_MANY,
)
from protocol.contracts.members.records import MEMBER
from protocol.contracts.registry.contract import DECIDERS
from protocol.contracts.savings.records import sum_savings
from protocol.params import AMOUNT_MAX
from protocol.vm.context import QueryContext
from protocol.vm.contract import Contract, ErrorType, Method, Owner, Query, Role
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    HASH,
    U32,
    U63,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)

PARTS: Final = len(PART_POINTS)


def _query_score(query: QueryContext, member: int) -> Value:
    found = compute_for(query.view, member, query.day)
    return (found.score, tuple([part.points for part in found.parts]), found.as_of)


def _query_explain(query: QueryContext, member: int) -> Value:
    facts = collect_facts(query.view, member, query.day)
    parts = zip(compute_parts(facts), count_facts(facts), strict=True)
    return tuple(
        [
            (number, part.points, part.most, part.value, part.evidence, part.relief, *counts)
            for number, (part, counts) in enumerate(parts, 1)
        ]
    )


def _query_offer(query: QueryContext, member: int, asset: int) -> Value:
    view = query.view
    score = compute_for(view, member, query.day).score
    bands, starter = get_table(view, asset)
    band = find_band(bands, score)
    saved = sum_savings(view, member, asset)
    amount = compute_limit(band, score, saved, starter, AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX)
    return (amount, band[1], band[2])


def _query_bands(query: QueryContext, asset: int) -> Value:
    return get_table(query.view, asset)


def _query_dispute(query: QueryContext, number: int) -> Value:
    row = DISPUTES.get(query.view, DISPUTES.key(number))
    return None if row is None else row[1:]


_MEMBER: Final = Field("member", MEMBER)
_DOCUMENT: Final = Field("document", HASH)

CONTRACT: Final = Contract(
    ID,
    "credit",
    layer=3,
    version=1,
    doc="What a member's own record says about lending to him, with its reasons.",
    tables=(MARKS, LOANS, STOOD, ATTESTED, DISPUTES, DISPUTES_OPEN, RELIEF, COUNTER, TABLE),
    methods=(
        Method(
            1,
            "set_table",
            (Field("asset", ASSET), *TABLE_FIELDS),
            BOOL,
            DECIDERS,
            200,
            methods.set_table,
            "Set what a score is worth in an asset: multiplier of savings, addition to the rate, starter.",
        ),
        Method(
            2,
            "attest",
            (
                _MEMBER,
                Field("kind", KIND, "1 income, 2 community, 3 courses"),
                Field("until_day", U32, "before today: it counts no more"),
                _DOCUMENT,
            ),
            BOOL,
            (Role(ASSESSOR),),
            40,
            methods.attest,
            "Say that something counts for a member.",
        ),
        Method(
            3,
            "dispute",
            (Field("owner", ADDRESS), Field("part", PART, PART_DOC), _DOCUMENT),
            DISPUTE,
            (Owner("owner"),),
            40,
            methods.dispute,
            "Say that a part of one's score is wrong; returns the number of the dispute.",
            0,
        ),
        Method(
            4,
            "answer",
            (
                Field("dispute", DISPUTE),
                _DOCUMENT,
                Field("relief", POINTS, "0: the score is right"),
                Field("days", Integer("days", 0, RELIEF_DAYS_MAX), "for which the relief counts"),
            ),
            BOOL,
            (Role(ASSESSOR),),
            60,
            methods.answer,
            "Answer a dispute.",
        ),
    ),
    queries=(
        Query(
            "score",
            (_MEMBER,),
            Fields((Field("score", POINTS), Field("parts", Many(POINTS, PARTS, PARTS)), Field("as_of", U32))),
            _query_score,
            "Return the score of a member, its parts and its day.",
        ),
        Query(
            "explain",
            (_MEMBER,),
            Many(
                Fields(
                    (
                        Field("part", PART, PART_DOC),
                        Field("points", POINTS),
                        Field("most", POINTS),
                        Field("value", POINTS, "what the record says, of 1,000"),
                        Field("evidence", POINTS, "how much record there is, of 1,000"),
                        Field("relief", POINTS, "given back by an answer"),
                        Field("count", U63, "rows, months, 1,000ths, halves, kinds: what the part counts"),
                        Field("beside", U63, "what it is counted beside"),
                    )
                ),
                PARTS,
            ),
            _query_explain,
            "Say where each part of a score comes from.",
        ),
        Query(
            "offer",
            (_MEMBER, Field("asset", ASSET)),
            Fields(
                (Field("amount", AMOUNT), Field("multiplier_bp", U32), Field("addon_ppm", U32, "on the rate"))
            ),
            _query_offer,
            "Return how much the score and the savings of a member carry.",
        ),
        Query("bands", (Field("asset", ASSET),), Fields(TABLE_FIELDS), _query_bands, "Return the table."),
        Query(
            "dispute",
            (Field("dispute", DISPUTE),),
            Maybe(Fields(DISPUTE_FIELDS)),
            _query_dispute,
            "Return a dispute and its answer.",
        ),
    ),
    events=(methods.SEEN, methods.DISPUTED, methods.SETTLED),
    errors=(
        ErrorType(NO_DISPUTE, "NO_DISPUTE", "There is no such dispute."),
        ErrorType(ANSWERED, "ANSWERED", "The dispute was answered already."),
        ErrorType(TOO_MANY, "TOO_MANY", "There are as many already as a limit allows."),
        ErrorType(OWN_CASE, "OWN_CASE", "Nobody attests or answers in a case of his own."),
        ErrorType(TERMS, "TERMS", "The terms contradict themselves or go beyond a limit."),
    ),
)
