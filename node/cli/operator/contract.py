"""`coopd contract`: the contracts that plugins bring: what is here, whether it conforms, and what is decided.

A plugin is loaded by naming it in the settings (`plugins`); a vote names its fingerprint, which `ls` shows.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from node.cli.session import session
from node.cli.terminal import Exit, Failure

contract_app = App(name="contract", help="Contracts that plugins bring.")


@contract_app.command(name="check")
def contract_check(
    place: str, /, *, programs: int = 800, python: Annotated[tuple[str, ...], Parameter(negative=())] = ()
) -> None:
    """Check a plugin: its source, and the same chain under every hash seed and interpreter.

    Args:
        place: Folder of its project, or NAME==VERSION of one that is installed.
        programs: Random programs of each run.
        python: A further interpreter to try; may be given several times.
    """
    from node.plugin.conformance import check

    report = check(place, programs, python)
    lines = [*report.lines, *[f"FAIL  {problem}" for problem in report.problems]]
    lines.append("conforms" if not report.problems else f"{len(report.problems)} problems")
    shown = {"conforms": not report.problems, "lines": report.lines, "problems": report.problems}
    session.terminal.show(shown, "\n".join(lines))
    if report.problems:
        raise SystemExit(1)


@contract_app.command(name="ls")
def contract_ls() -> None:
    """List the contracts of the plugins that this node's settings name, with the fingerprints to vote for."""
    from node.cli.operator.place import find_place
    from node.plugin.loading import find_installed, load

    rows: list[dict[str, Any]] = []
    for name in find_place().configs[0].plugins:
        source = find_installed(name)
        for contract in load(source):
            rows.append(
                {
                    "contract": int(contract.id),
                    "name": contract.name,
                    "version": contract.version,
                    "package": source.package,
                    "fingerprint": contract.compute_fingerprint().hex(),
                }
            )
    lines = [
        f"{r['contract']:>5} {r['name']:<16} version {r['version']:<4} {r['package']:<24} {r['fingerprint']}"
        for r in rows
    ]
    session.terminal.show(rows, "\n".join(lines) or "no plugins: name them in the settings, plugins = [...]")


@contract_app.command(name="decide")
def contract_decide(number: int, version: int, /, *, from_height: int = 0, board: Path | None = None) -> None:
    """Decide, with the keys of the council, that a version of a plugin's contract runs; 0 takes it out.

    Args:
        number: Of the contract.
        version: That runs from then on; 0: none.
        from_height: First block that runs it; without it the soonest one.
        board: Folder of the council's keys.
    """
    from node.cli.council import load_council, send_as_council
    from node.cli.operator.place import find_place
    from protocol.contracts.registry import contract as registry

    place = find_place()
    fingerprint, package = bytes(32), ""
    if version:
        fingerprint, package = _find(place.configs[0].plugins, number, version)
    council = load_council(board or place.board)
    session.terminal.confirm(f"Decide contract {number} in version {version}: sign as the council and send?")
    arguments = (number, version, fingerprint, package, from_height)
    receipt = send_as_council(place.client(), place.genesis, council, registry.CONTRACT, "upgrade", arguments)
    first = int(receipt["results"][0])
    session.terminal.show(
        {"id": receipt["id"], "height": receipt["height"], "firstHeight": first},
        f"Decided in block {receipt['height']:,}: contract {number} in version {version} from block {first:,}"
        " on, when enough validators have it.",
    )


@contract_app.command(name="cancel")
def contract_cancel(number: int, /, *, board: Path | None = None) -> None:
    """Cancel a decided version of a contract before it is in force, with the keys of the council.

    Args:
        number: Of the contract.
        board: Folder of the council's keys.
    """
    from node.cli.council import load_council, send_as_council
    from node.cli.operator.place import find_place
    from protocol.contracts.registry import contract as registry

    place = find_place()
    council = load_council(board or place.board)
    session.terminal.confirm(
        f"Cancel the decided version of contract {number}: sign as the council and send?"
    )
    arguments = (number,)
    client, genesis = place.client(), place.genesis
    receipt = send_as_council(client, genesis, council, registry.CONTRACT, "cancel_upgrade", arguments)
    session.terminal.show(
        {"id": receipt["id"], "height": receipt["height"], "cancelled": True},
        f"Cancelled in block {receipt['height']:,}: contract {number} stays as it is.",
    )


@contract_app.command(name="installed")
def contract_installed(number: int, version: int, /) -> None:
    """Say, signed with the node key of each node here, that it has a version of a contract."""
    from node.cli.council import send_call
    from node.cli.operator.place import client_of, find_place, read_passphrase
    from node.cli.payments import sign_transaction
    from node.config import NODE_KEY
    from node.wallet.keyring import Keyring
    from protocol.contracts.policies import address_of_key
    from protocol.contracts.registry import contract as registry

    place, said = find_place(), list[dict[str, Any]]()
    genesis = place.genesis
    for config in place.configs:
        fingerprint, _ = _find(config.plugins, number, version)
        key = Keyring(config.keys_path).load(NODE_KEY, read_passphrase(config))
        address = address_of_key(key.public_key)
        receipt = send_call(
            client_of(config),
            genesis,
            address,
            registry.CONTRACT,
            "installed",
            (address, key.public_key, number, version, fingerprint),
            lambda tx, key=key: sign_transaction(genesis, tx, key),  # type: ignore[misc]
        )
        said.append({"operator": config.operator, "height": receipt["height"]})
    session.terminal.show(said, "\n".join(f"{one['operator']} has it" for one in said))


def _find(plugins: tuple[str, ...], number: int, version: int) -> tuple[bytes, str]:
    """Return fingerprint and package of a version that the settings bring.

    Raises:
        Failure: they bring none.
    """
    from node.plugin.loading import find_installed, load

    for name in plugins:
        source = find_installed(name)
        for contract in load(source):
            if (contract.id, contract.version) == (number, version):
                return contract.compute_fingerprint(), source.package
    raise Failure(
        f"Contract {number} in version {version} is not here.",
        f"the setting plugins names: {', '.join(plugins) or 'nothing'}.",
        "install its package, and name it in the settings; see: coopd contract ls",
        "plugin.missing",
        Exit.USAGE,
    )
