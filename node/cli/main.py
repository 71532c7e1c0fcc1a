"""`coopd`: what an operator types. Each command loads what it needs inside its function: all start fast."""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from node.cli.operator.consensus import consensus_app
from node.cli.operator.contract import contract_app
from node.cli.operator.gateway_child import GatewayChild, start_gateway
from node.cli.operator.load import load_app
from node.cli.operator.localnet import localnet_app
from node.cli.operator.params import params_app
from node.cli.operator.restart import restart_app
from node.cli.operator.rotation import validator_ls, validator_rotate
from node.cli.operator.snapshot import snapshot_app
from node.cli.operator.validator import validator_app
from node.cli.session import session
from node.cli.terminal import QUIET, Exit, Failure, Terminal, default_language, run_command
from node.config import CONFIG_FILE, CONSENSUS_KEY, NODE_KEY, VERSION, Config, load, render

app = App(name="coopd", help="A node of a financial co-operative's ledger.", version=VERSION)
keys_app = App(name="keys", help="Keys of this node.")
db_app = App(name="db", help="The node's database.")
config_app = App(name="config", help="Settings of this node.")
consensus_app.command(restart_app)
validator_app.command(validator_rotate, name="rotate")
validator_app.command(validator_ls, name="ls")
for group in (
    keys_app,
    db_app,
    config_app,
    consensus_app,
    validator_app,
    params_app,
    contract_app,
    snapshot_app,
    localnet_app,
    load_app,
):
    app.command(group)


@app.command
def init(*, name: str = "", genesis: Path | None = None) -> None:
    """Make the data folder: settings, node key, consensus key, gateway token.

    Args:
        name: Name of the operator.
        genesis: Founding document of the chain, to be copied into the folder.
    """
    from node.signer import Signer
    from node.wallet.keyring import Keyring

    config = load(session.home)
    if (config.home / CONFIG_FILE).exists():
        raise Failure(
            "Nothing was made: the folder is set up already.",
            f"{config.home / CONFIG_FILE} exists.",
            "start the node: coopd run",
            "init.exists",
        )
    config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    ring = Keyring(config.keys_path)
    passphrase = None if not config.passphrase_file else Path(config.passphrase_file).read_text().rstrip("\n")
    entries = [ring.create(key, passphrase) for key in (NODE_KEY, CONSENSUS_KEY)]
    Signer.create(config.guard_path, entries[1].public_key)
    _new_token(config)
    (config.home / CONFIG_FILE).write_text(render(replace(config, operator=name)), encoding="utf-8")
    if genesis is not None:
        config.genesis_path.write_bytes(genesis.read_bytes())
    keys = {entry.name: entry.public_key.hex() for entry in entries}
    session.terminal.show(
        {"home": str(config.home), "keys": keys},
        f"Made {config.home}\n"
        + "".join(f"  {label:<10} key {key}\n" for label, key in keys.items())
        + "Next: give these keys to the co-operative, put its genesis.bin and the peers into\n"
        f"{config.home}, then: coopd run",
    )


@app.command
def run(
    *,
    gateway: bool | None = None,
    listen_host: str | None = None,
    listen_port: int | None = None,
    gateway_port: int | None = None,
    log_level: str | None = None,
) -> None:
    """Run the node in the foreground, with its gateway beside it.

    Args:
        gateway: Whether to start the gateway too.
        listen_host: Address on which other nodes reach this one.
        listen_port: Port on which other nodes reach this one.
        gateway_port: Port of JSON-RPC.
        log_level: debug, info, warning or error.
    """
    flags = {
        "listen_host": listen_host,
        "listen_port": listen_port,
        "gateway_port": gateway_port,
        "log_level": log_level,
        "gateway_with_node": gateway,
    }
    config = load(session.home, flags)
    from node.log import set_up

    set_up(config.log_level, config.log_format)
    # Forked before this process loads libp2p or has threads.
    child = None
    if config.gateway_with_node:
        child = GatewayChild(_fork_gateway(config), lambda: start_gateway(config.home, flags))
    try:
        import trio

        from node.daemon import run_node

        trio.run(partial(run_node, config, beside=None if child is None else child.keep))
    finally:
        if child is not None:
            child.end()


@app.command
def rejoin() -> None:
    """Bring a node back that lost its disk or whose database is damaged: fetch all from peers, and run.

    Keys, settings, genesis.bin and, if it is there, the signing record stay. The node fetches a snapshot and
    the blocks above it. Without its signing record it follows and does not sign.
    """
    from node.store.store import Store

    config = load(session.home)
    if config.store_path.exists():
        session.terminal.confirm("Forget the database of this node, and fetch it anew from its peers?")
        Store.remove(config.store_path)
    if not config.guard_path.exists():
        session.terminal.note(
            "This key has no signing record here: the node follows and does not sign.\n"
            "  Do:  give the validator a new key and let it be ready (coopd validator ready), or, if no\n"
            "       other copy of the key runs anywhere: coopd keys adopt --after HEIGHT"
        )
    run()


@app.command
def gateway() -> None:
    """Run the gateway alone: JSON-RPC, WebSocket, /metrics, beside a running node."""
    from node.rpc.gateway import run_gateway

    run_gateway(load(session.home))


@app.command
def status() -> None:
    """Show how the node is."""
    from node.ipc.ask import ask
    from node.ipc.messages import AskStatus, Status

    answer = ask(load(session.home).socket_path, AskStatus())
    assert isinstance(answer, Status)
    shown = status_json(answer)
    session.terminal.show(shown, lambda: status_text(answer))


@app.command
def health() -> None:
    """Exit with 0 when the node follows the chain and sees a quorum, 1 when not, 3 without an answer."""
    from node.ipc.ask import ask
    from node.ipc.messages import AskStatus, Status

    answer = ask(load(session.home).socket_path, AskStatus())
    assert isinstance(answer, Status)
    session.terminal.show(
        {"ready": answer.ready, "warnings": list(answer.warnings)},
        "ready" if answer.ready else "not ready: " + "; ".join(answer.warnings),
    )
    if not answer.ready:
        raise SystemExit(Exit.REFUSED)


@keys_app.command(name="show")
def keys_show() -> None:
    """Show the public keys of this node."""
    from node.wallet.keyring import Keyring

    ring = Keyring(load(session.home).keys_path)
    entries = [ring.entry(name) for name in ring.names()]
    session.terminal.show(
        {entry.name: entry.public_key.hex() for entry in entries},
        "\n".join(f"{e.name:<10} {e.public_key.hex()}{'' if e.encrypted else '   unsealed'}" for e in entries)
        or "no keys yet: coopd init",
    )


@keys_app.command(name="token")
def keys_token() -> None:
    """Make a new token for the gateway; the one before is void after the gateway has restarted."""
    path = _new_token(load(session.home))
    session.terminal.show({"file": str(path)}, f"The token is in {path}")


@keys_app.command(name="adopt")
def keys_adopt(*, after: int) -> None:
    """Begin a signing record for this consensus key; no other copy of it may run anywhere.

    Args:
        after: Last height of the network; nothing at or below it will be signed.
    """
    from node.signer import Signer
    from node.wallet.keyring import Keyring

    config = load(session.home)
    session.terminal.confirm("Does no other copy of this key run anywhere?")
    Signer.create(config.guard_path, Keyring(config.keys_path).entry(CONSENSUS_KEY).public_key, after)
    session.terminal.show({"after": after}, f"This node signs above height {after:,} only")


@db_app.command(name="check")
def db_check(*, books: bool = False) -> None:
    """Check the database of a stopped or running node: hashes, links, certificates, state root, totals.

    Args:
        books: Add up the whole journal again, too: each account's rows, and the trial balance from them.
    """
    from node.cli.operator.money_check import find_money_faults
    from node.store.check import check_store
    from node.store.store import Store

    store = Store.open(load(session.home).store_path, readonly=True)
    try:
        report = check_store(store, find_money_faults, books=books)
    finally:
        store.close()
    findings = [{"height": finding.height, "what": finding.what} for finding in report.findings]
    session.terminal.show(
        {
            "height": report.height,
            "base": report.base,
            "transactions": report.transactions,
            "stateKeys": report.state_keys,
            "sound": report.is_sound,
            "findings": findings,
        },
        lambda: "\n".join(
            [
                f"height {report.height:,}   {report.transactions:,} transactions   "
                f"{report.state_keys:,} keys of the state   epochs {report.epochs}",
                *([f"begins with a snapshot of height {report.base:,}"] if report.base else []),
                *(f"height {f['height']:,}: {f['what']}" for f in findings),
                "Everything is as it was committed, and no money was made or lost."
                + (" The journal adds up to the books." if books else "")
                if report.is_sound
                else "Something is wrong: let the node fetch its data again, and check the disk.",
            ]
        ),
    )
    if not report.is_sound:
        raise SystemExit(Exit.REFUSED)


@app.command(name="export")
def export_command(form: str, /, *, out: Path, from_day: str = "", to_day: str = "") -> None:
    """Write the journal of the whole books to a file, from a stopped or running node.

    Args:
        form: csv or beancount. A statement of one account, as camt.053 too: coop export.
        out: File to write.
        from_day: First day, such as 2026-07-01.
        to_day: Last day.
    """
    from node.cli.operator.export import export_books

    export_books(load(session.home).store_path, form, out, from_day, to_day)


@config_app.command(name="show")
def config_show() -> None:
    """Show the settings in force."""
    sys.stdout.write(render(load(session.home)))


@config_app.command(name="default")
def config_default() -> None:
    """Show all settings with their defaults and what they mean."""
    sys.stdout.write(render(Config(Path())))


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Path | None = None,
    json: bool = False,
    lang: str | None = None,
    quiet: bool = False,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"])] = False,
) -> Any:
    """A node of a financial co-operative's ledger.

    Args:
        home: Data folder; without it COOPD_HOME, of a local cluster COOPD_LOCALNET.
        json: Print results as JSON, one object a line.
        lang: en or zh.
        quiet: Print results only.
        yes: Do not ask.
    """
    session.terminal = Terminal(json=json, quiet=quiet, yes=yes, language=lang or default_language())
    session.home = home
    return app(tokens, **QUIET)


def main() -> None:
    """Run `coopd`."""
    run_command(lambda: session.terminal, lambda: app.meta(**QUIET))


def status_json(status: Any) -> dict[str, Any]:
    """Return what `coopd status --json` prints."""
    names = (
        "operator",
        "version",
        "height",
        "time_ms",
        "target_height",
        "role",
        "leader",
        "view",
        "peers",
        "peers_known",
        "mempool_txs",
        "mempool_bytes",
        "mempool_oldest_ms",
        "last_commit_ms",
        "ready",
        "epoch",
        "protocol",
    )
    samples = {
        sample.name + "".join(f" {value}" for _, value in sample.labels): sample.micro / 1_000_000
        for sample in status.samples
    }
    return {
        **{name: getattr(status, name) for name in names},
        "warnings": list(status.warnings),
        "samples": samples,
    }


def status_text(status: Any) -> str:
    """Write how a node is on one screen."""
    synced = "synced" if status.target_height <= status.height else f"catching up to {status.target_height:,}"
    is_bft = status.protocol == "bft"
    place = (
        f"round {status.view}, proposer {status.leader or 'unknown'}"
        if is_bft
        else f"term {status.view}, leader {status.leader or 'unknown'}"
    )
    lines = [
        f"{status.operator or 'node'}   {status.role} under {status.protocol.upper()}, "
        f"epoch {status.epoch}, {place}",
        f"height {status.height:,}   {synced}   peers {status.peers}/{status.peers_known}"
        f"   mempool {status.mempool_txs:,}   last commit {status.last_commit_ms} ms",
    ]
    if status.warnings:
        lines.append("warnings: " + "; ".join(status.warnings))
    return "\n".join(lines)


def _fork_gateway(config: Config) -> int:
    """Start the gateway as a child; forked before this process has threads."""
    from node.rpc.gateway import run_gateway

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run_gateway(config)
            code = 0
        except BaseException as failure:
            sys.stderr.write(f"gateway: {failure!r}\n")
        finally:
            os._exit(code)
    return pid


def _new_token(config: Config) -> Path:
    import secrets

    from node.files import write_whole

    config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(config.token_path, secrets.token_urlsafe(32).encode() + b"\n")
    return config.token_path
