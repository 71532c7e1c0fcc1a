"""`coopd params`: the numbers that may change while the chain runs, their bounds, and what is decided.

The names and bounds come from the chain itself (`registry.parameters`), so an older program shows new ones.
"""

from pathlib import Path
from typing import Any

from cyclopts import App

from node.cli.session import session
from node.cli.terminal import Exit, Failure

params_app = App(name="params", help="Parameters of the chain: values, bounds, and changes.")


@params_app.command(name="ls")
def params_ls() -> None:
    """List all parameters."""
    rows = _ask()
    session.terminal.show(rows, lambda: "\n".join(format_row(row) for row in rows))


@params_app.command(name="show")
def params_show(name: str, /) -> None:
    """Show one parameter.

    Args:
        name: As `coopd params ls` shows it.
    """
    row = find_row(_ask(), name)
    session.terminal.show(row, lambda: format_row(row))


@params_app.command(name="set")
def params_set(name: str, value: int, /, *, from_height: int = 0, board: Path | None = None) -> None:
    """Decide another value, with the keys of the council.

    Args:
        name: As `coopd params ls` shows it.
        value: Inside the bounds.
        from_height: First block that uses it; without it the soonest one.
        board: Folder of the council's keys.
    """
    from node.cli.council import load_council, send_as_council
    from node.cli.operator.place import find_place
    from protocol.contracts.registry import contract as registry

    place = find_place()
    client = place.client()
    row = find_row(_ask(), name)
    council = load_council(board or place.board)
    session.terminal.note(f"Change {name} from {row['value']} to {value} {row['unit']}")
    session.terminal.confirm("Sign as the council and send?")
    arguments = (name, value, from_height)
    receipt = send_as_council(client, place.genesis, council, registry.CONTRACT, "set_parameter", arguments)
    first = int(receipt["results"][0])
    session.terminal.show(
        {"id": receipt["id"], "height": receipt["height"], "name": name, "value": value, "fromHeight": first},
        f"Decided in block {receipt['height']:,}: {name} is {value:,} {row['unit']} from block {first:,} on.",
    )


def _ask() -> list[dict[str, Any]]:
    from node.cli.operator.place import find_place

    answer = find_place().client().call("registry_parameters")
    rows: list[dict[str, Any]] = answer["value"]
    return rows


def find_row(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the row of a name.

    Raises:
        Failure: there is none.
    """
    for row in rows:
        if row["name"] == name:
            return row
    raise Failure(
        f"There is no parameter {name[:70]}.",
        f"there are: {', '.join(row['name'] for row in rows)}.",
        "name one of them",
        "registry.no_parameter",
        Exit.USAGE,
    )


def format_row(row: dict[str, Any]) -> str:
    """Write a parameter on one line."""
    bounds = "fixed since the founding" if row["isFounding"] else f"{row['low']} to {row['high']}"
    following = row["next"]
    coming = "" if following is None else f"   {following['value']} from block {following['fromHeight']}"
    return f"{row['name']:<22} {row['value']:>14} {row['unit']:<8} {bounds}{coming}"
