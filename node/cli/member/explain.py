"""`coop explain`: what a transaction or the run of a job did, in lines a person reads.

The words come from the node and are believed as far as the node is; `coop verify receipt` proves the result.
"""

from collections.abc import Iterator
from typing import Any

from node.cli.member.member_session import session
from node.cli.rpc_client import RpcClient
from node.rpc.amounts import format_amount


def explain_transaction(tx_id: str, /) -> None:
    """Explain a transaction or the run of a job: by whose authority, by which rules, which money moved.

    Args:
        tx_id: Its id, tx1... or 0x...
    """
    client = session.client()
    told = client.call("audit_explain", id=tx_id)
    session.terminal.show(told, lambda: "\n".join(describe(told, client)))


def describe(told: dict[str, Any], client: RpcClient) -> Iterator[str]:
    """Write an explanation, one line a fact."""
    what = f"run of job {told['job']}" if told["kind"] == "job" else "transaction"
    yield f"{what} {told['ref']}"
    certified = ", ".join(told["certifiedBy"])
    yield f"block       {told['height']:,}, place {told['index']}, certified by {certified}"
    if told["signers"]:
        keys = ", ".join(f"{one['actor']} with key {one['publicKey'][:12]}..." for one in told["signers"])
        yield f"signed by   {keys}"
    for number, call in enumerate(told["calls"]):
        version = "" if call["version"] is None else f", version {call['version']}"
        yield f"call {number}      {call['contract']}.{call['method']}{version}: {call['does']}"
        needs = " or ".join(call["needs"])
        if needs:
            yield f"  needs     {needs}"
        yield f"  authority {call['authority'] or 'none that can be told'}"
        if isinstance(call["arguments"], dict):
            yield from (f"  {name:<9} {value}" for name, value in call["arguments"].items())
    failure = told["failure"]
    if failure is None:
        yield f"result      applied, {told['gas']:,} gas"
    else:
        place = "" if failure["instruction"] is None else f" in call {failure['instruction']}"
        yield f"result      failed{place}: {failure['message']}"
        yield f"  rule      {failure['rule']}: limit {failure['limit']}, actual {failure['actual']}"
        yield f"  why       {failure['why']}"
        yield f"  do        {failure['fix']}"
    for leg in told["legs"]:
        answer = client.call("assets_asset", asset=leg["asset"])["value"]
        decimals, symbol = (0, "") if answer is None else (int(answer["decimals"]), str(answer["symbol"]))

        def shown(minor: str | None, decimals: int = decimals) -> str:
            return "-" if minor is None else format_amount(int(minor), decimals)

        yield f"moved       {format_amount(int(leg['amount']), decimals, symbol)}, code {leg['code']}"
        yield f"  debit     {leg['debit']}, then {shown(leg['debitBalance'])}"
        yield f"  credit    {leg['credit']}, then {shown(leg['creditBalance'])}"
    for event in told["events"]:
        yield f"said        {event['contract']}.{event['event']} {event['fields']}"
