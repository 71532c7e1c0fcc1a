"""What a caller may read: every method is public, shows own rows, or is for trusted callers alone.

A method that is not named here is for trusted callers alone, so a new one tells nobody anything until it is
named. Where the members decided that their books are public (`books_public`, a parameter of the registry),
whoever may call reads everything. Who may call at all is in `access.py`; how a member proves who he is, in
`sign_in.py`.

Rows are a member's own when they are of his address, his membership, his loan or his savings account. A
transaction is his when it touched his account, and is shown whole. Bodies of blocks are nobody's own.

*Source*: contracts.md 5.22.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from node.rpc.access import Trust
from node.rpc.dispatch import Method
from node.rpc.events import Topic, parse_topic
from node.rpc.failure import RpcFailure
from node.rpc.service import Call
from node.rpc.sign_in import check_now
from node.rpc.values import from_hex, read_address
from protocol.addresses import parse_tx_id
from protocol.chain.transaction import decode_signed, decode_transaction
from protocol.contracts.ledger.accounts import ACCOUNT
from protocol.contracts.lending.records import LOANS
from protocol.contracts.members.records import find_by_account
from protocol.contracts.parameters import BOOKS_PUBLIC, get_value
from protocol.contracts.savings.records import ACCOUNTS
from protocol.errors import Rejected
from protocol.types import Address
from protocol.vm.tables import Table
from protocol.vm.view import View

PUBLIC_TOPICS: Final = frozenset({"blocks", "evidence", "migration"})

_PUBLIC_NAMES: Final = """
assets_asset assets_assets assets_bySymbol auth_fee
chain_getBlocks chain_getCertificate chain_getEpochs chain_getEvidence chain_getGenesis chain_getHeader
chain_getMigration chain_getValidators chain_submitEvidence coop_unsubscribe credit_bands docs_viewKey
gov_get gov_getTally gov_list ledger_period ledger_totals lending_product lending_products lending_quote
lending_total loan_getRisk members_eligibleAt members_role members_roleDelay members_rules
mempool_getStatus node_getInfo node_getLimits node_getStatus
registry_convictions registry_parameters registry_paused registry_pending registry_ready
registry_takenOver registry_upgrades registry_versions rpc.discover
savings_liquidity savings_product savings_products savings_rates savings_total security_limits
shares_class shares_classes shares_price shares_year
treasury_actuals treasury_budget treasury_cashFlow treasury_closedYear treasury_fund treasury_funds
treasury_line treasury_report treasury_tiers tx_getSignBytes tx_submit tx_submitAndWait
util_decodeAddress util_formatAmount util_parseUri
voting_byState voting_candidates voting_count voting_election voting_hearing voting_policies
voting_policy voting_program voting_proposal voting_ranking voting_tally
"""
PUBLIC: Final = frozenset(_PUBLIC_NAMES.split())
"""Totals, products, rules, proposals and what proves them; and what changes nothing but by a signature."""

_Owns: TypeAlias = Callable[[Call, Address, Any], bool]


def _is_address(call: Call, own: Address, value: Any) -> bool:
    return isinstance(value, str) and read_address(value, call.facts.hrp) == own


def _is_member(call: Call, own: Address, value: Any) -> bool:
    with call.state(call.height) as state:
        member = find_by_account(View(state), own)
    return member is not None and type(value) is int and value == member


def _is_row_of(table: Table[Any]) -> _Owns:
    """Return the test of rows whose first field is a member."""

    def owns(call: Call, own: Address, value: Any) -> bool:
        if type(value) is not int or not 0 <= value < 1 << 32:
            return False
        with call.state(call.height) as state:
            view = View(state)
            row, member = table.get(view, table.key(value)), find_by_account(view, own)
        return row is not None and member is not None and row[1] == member

    return owns


def _is_transaction(call: Call, own: Address, value: str) -> bool:
    tx_id = parse_tx_id(value) if value.startswith("tx1") else from_hex(value, "id")
    found = call.store.receipt(tx_id)
    if found is None:
        raw = call.service.recall(tx_id)  # type: ignore[arg-type]
        return raw is not None and own in decode_signed(raw, call.facts.genesis_hash).tx.actors
    height, index, _ = found
    places = call.store.account_transactions(own, (height, index + 1), 1)
    return bool(places) and places[0].tx_id == tx_id


def _is_body(call: Call, own: Address, value: str) -> bool:
    """Tell whether a transaction that is only tried would act for this account alone."""
    raw = from_hex(value, "tx")
    try:
        tx = decode_signed(raw, call.facts.genesis_hash).tx
    except Rejected:
        tx = decode_transaction(raw)
    return set(tx.actors) == {own}


def _is_key(call: Call, own: Address, value: str) -> bool:
    return from_hex(value, "key").startswith(ACCOUNT.prefix + own)


def _all_of(param: str, owns: _Owns, methods: str) -> dict[str, tuple[str, _Owns]]:
    return dict.fromkeys(methods.split(), (param, owns))


OWN: Final[dict[str, tuple[str, _Owns]]] = {
    **_all_of(
        "address",
        _is_address,
        """assets_balance assets_balances assets_statement audit_export auth_account auth_roles
        gov_getEligibility gov_getPower gov_getVote grants_byGrantee grants_byGrantor loan_list loan_quote
        member_getCredit member_getStatement savings_get tx_list""",
    ),
    **_all_of("owner", _is_address, "docs_byOwner ledger_accounts sched_byOwner"),
    **_all_of("holder", _is_address, "members_offices"),
    **_all_of("payee", _is_address, "treasury_streams"),
    **_all_of(
        "account",
        _is_address,
        """members_byAccount multisig_open multisig_rules multisig_settings recovery_guardian
        recovery_recovery""",
    ),
    **_all_of(
        "member",
        _is_member,
        """credit_explain credit_offer credit_score lending_loans members_member members_obligations
        members_standingAt savings_accounts security_given shares_exitPlan shares_holdings shares_pledges
        shares_requests voting_ballot voting_delegate voting_delegators voting_mayVote""",
    ),
    **_all_of(
        "loan",
        _is_row_of(LOANS),
        """lending_claim lending_decision lending_events lending_loan lending_offer lending_rows
        lending_state loan_get loan_getSchedule security_case security_collateral security_cover
        security_guarantees""",
    ),
    **_all_of("account", _is_row_of(ACCOUNTS), "savings_account savings_getStatement"),
    **_all_of("id", _is_transaction, "tx_get tx_getReceipt"),
    **_all_of("tx", _is_body, "tx_simulate"),
    **_all_of("key", _is_key, "proof_get"),
}
"""Methods that show rows of one member: the param that says whose, and the test of it."""

BY_TOPIC: Final = frozenset({"coop_getEvents", "coop_subscribe"})


def guard(method: Method[Call]) -> Method[Call]:
    """Return the method as callers may use it."""
    run = method.run

    async def guarded(call: Call, params: Any) -> Any:
        check_reader(call, method.name, params)
        return await run(call, params)

    return replace(method, run=guarded, errors=(*method.errors, "rpc.not_yours"))


def check_reader(call: Call, name: str, params: Any) -> None:
    """Refuse what a caller may not read.

    Raises:
        RpcFailure: rpc.not_yours, signin.expired, signin.wrong_key; what a wrong param gives.
        Rejected: a param is not what it must be.
    """
    if call.caller.trust is Trust.TRUSTED or name in PUBLIC:
        return
    if name in BY_TOPIC:
        check_topic(call, parse_topic(params.topic, params.filter, call.facts))
        return
    if _are_books_public(call):
        return
    own = _own_address(call)
    if own is not None and name in OWN:
        param, owns = OWN[name]
        if owns(call, own, getattr(params, param)):
            return
    raise RpcFailure("rpc.not_yours", method=name)


def check_topic(call: Call, topic: Topic) -> None:
    """Refuse a topic that a caller may not follow, or may follow no longer.

    Raises:
        RpcFailure: rpc.not_yours, signin.expired, signin.wrong_key.
    """
    if call.caller.trust is Trust.TRUSTED or topic.name in PUBLIC_TOPICS or _are_books_public(call):
        return
    own = _own_address(call)
    if own is None or topic.address != own:
        raise RpcFailure("rpc.not_yours", method=f"the topic {topic.name}")


def _are_books_public(call: Call) -> bool:
    with call.state(call.height) as state:
        return get_value(View(state), BOOKS_PUBLIC) == 1


def _own_address(call: Call) -> Address | None:
    """Return the address that the caller proved, as long as the proof holds."""
    proof = call.caller.proof
    if proof is None:
        return None
    with call.state(call.height) as state:
        check_now(proof, View(state), int(time.time()))
    return proof.address
