"""`coop call` and `coop query`: every method and every query of every contract, built from its schema."""

from typing import Annotated, Any

from cyclopts import Parameter

from node.cli.member.acting import act, open_actor, open_words, show_field, show_receipt, show_value
from node.cli.member.member_session import known_contracts, session
from node.cli.member.typed import Words, explain_kind, find_contract, find_method
from node.cli.terminal import Exit, Failure
from node.rpc.values import camel, kind_json
from protocol.codec import Value
from protocol.vm.contract import Query
from protocol.vm.kinds import Fields, Kind, Many, Maybe


def call_contract(
    contract: str = "",
    method: str = "",
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    dry_run: bool = False,
    grant: int = 0,
) -> None:
    """Call any method of any contract; without a method, list what there is.

    The argument whose owner must act is you, unless you type all arguments. `-` is nothing; amounts are
    typed as in 25.50, times as 3d, +3d from now, or 2030-01-31; assets and members by name or number; a
    digest as 0x-hex or @FILE; a program as 'treasury.approve 3; treasury.pay 3'.

    Args:
        contract: Its name.
        method: Its name.
        arguments: In the order of the schema.
        dry_run: Sign and send nothing; show what would happen.
        grant: Number of the grant that is used: then the owner is who gave it.
    """
    if not contract or not method:
        _list_methods(contract)
        return
    actor = open_actor()
    owner = actor.address
    if grant:
        given = actor.client.call("grants_grant", grant=grant)["value"]
        if given is None:
            raise Failure(
                "There is no such grant.",
                f"number {grant}.",
                "see: coop query grants by_grantee ME",
                "cli.nothing",
            )
        owner = session.home.find_address(given["grantor"])
    program = actor.words.read_call(
        f"{contract}.{method}", list(arguments), owner, (0, grant) if grant else 0
    )
    show_receipt(act(actor, (program,), dry_run=dry_run), actor.words)


def query_contract(
    contract: str = "",
    query: str = "",
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    at: int | None = None,
) -> None:
    """Ask any query of any contract; without a query, list what there is.

    Args:
        contract: Its name.
        query: Its name.
        arguments: In the order of the schema, typed as for `coop call`.
        at: Height of the state that is asked; the newest one without it.
    """
    if not contract or not query:
        _list_queries(contract)
        return
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    found = _find_query(contract, query)
    texts = [*arguments, *["-"] * (len(found.arguments) - len(arguments))]
    known: dict[str, Value] = {}
    for field, text in zip(found.arguments, texts, strict=False):
        known[field.name] = words.read(field, text, known)
    if len(texts) != len(found.arguments):
        raise _too_many(found, contract)
    params: dict[str, Any] = {
        camel(f.name): kind_json(f.kind, known[f.name], chain.hrp) for f in found.arguments
    }
    if at is not None:
        params["at"] = at
    answer = client.call(f"{contract}_{camel(found.name)}", **params)
    asset = known.get("asset")
    session.terminal.show(answer, lambda: "\n".join(show_answer(found.result, answer["value"], words, asset)))


def show_answer(kind: Kind, value: Any, words: Words, asset: Value = None) -> list[str]:
    """Write what a query answers, one record a block of lines."""
    if isinstance(kind, Maybe):
        kind = kind.kind
    if value is None:
        return ["nothing"]
    match kind:
        case Many(kind=Fields() as inner):
            return [" | ".join(_record(inner, item, words, asset)) for item in value] or ["none"]
        case Many(kind=inner):
            return [show_value(inner, item, words, asset) for item in value] or ["none"]
        case Fields():
            return _record(kind, value, words, asset)
        case _:
            return [show_value(kind, value, words, asset)]


def _record(kind: Fields, value: dict[str, Any], words: Words, asset: Value) -> list[str]:
    asset = value.get("asset", asset)
    shown = []
    for field in kind.fields:
        inner = field.kind
        if isinstance(inner, Many | Fields):
            parts = show_answer(inner, value[camel(field.name)], words, asset)
            text = (", " if isinstance(inner, Fields) else "; ").join(parts)
            shown.append(f"{field.name.replace('_', ' ')} {text}")
        else:
            shown.append(show_field(field, value, words, asset))
    return shown


def _find_query(contract: str, name: str) -> Query:
    found = find_contract(contract)
    for query in found.queries:
        if name in (query.name, camel(query.name)):
            return query
    raise Failure(
        f"{found.name} has no query {name[:40]}.",
        f"it has: {', '.join(query.name for query in found.queries)}.",
        "name one of them",
        "cli.usage",
        Exit.USAGE,
    )


def _too_many(query: Query, contract: str) -> Failure:
    names = " ".join(field.name.upper() for field in query.arguments)
    how = f"as in: coop query {contract} {query.name} {names}"
    return Failure("Nothing was asked.", "too many arguments.", how, "cli.usage", Exit.USAGE)


def _list_methods(contract: str) -> None:
    if not contract:
        _list_contracts()
        return
    found = find_contract(contract)
    rows = [
        {
            "method": method.name,
            "doc": method.doc,
            "arguments": [
                {"name": field.name, "typed": explain_kind(field.kind), "doc": field.doc}
                for at, field in enumerate(method.arguments)
                if at != find_method(f"{found.name}.{method.name}")[1].owner_at
            ],
        }
        for method in found.methods
    ]
    lines = []
    for row in rows:
        arguments: Any = row["arguments"]
        lines.append(f"{row['method']:<22} {row['doc']}")
        lines += [f"    {a['name']:<18} {a['typed']}" for a in arguments]
    session.terminal.show(rows, "\n".join(lines))


def _list_queries(contract: str) -> None:
    if not contract:
        _list_contracts()
        return
    rows = [
        {"query": q.name, "doc": q.doc, "arguments": [f.name for f in q.arguments]}
        for q in find_contract(contract).queries
    ]
    session.terminal.show(
        rows,
        "\n".join(
            f"{row['query']:<18} {' '.join(row['arguments']).upper():<24} {row['doc']}" for row in rows
        ),
    )


def _list_contracts() -> None:
    rows = [{"contract": found.name, "doc": found.doc} for found in known_contracts().contracts]
    session.terminal.show(rows, "\n".join(f"{row['contract']:<10} {row['doc']}" for row in rows))
