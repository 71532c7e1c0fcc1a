"""What an operator may set: one flat list of keys, the same name in the file, the environment and the flags.

A flag wins over the environment (`COOPD_LISTEN_PORT`), that over the file (`coopd.toml`), that over the
default. Every key carries its own explanation, from which `render` writes the default file. This file knows
nothing of what is done with a value, and opens no key.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from node.errors import OperationError
from protocol.crypto import is_public_key
from protocol.params import BATCH_WINDOW_MS
from protocol.types import Hash32, PublicKey

VERSION: Final = "0.1.0"
CONFIG_FILE: Final = "coopd.toml"
ENVIRONMENT_PREFIX: Final = "COOPD_"
CONFIG_BYTES_MAX: Final = 1024 * 1024
PEERS_MAX: Final = 256
DEFAULT_HOME: Final = "~/.local/share/coopd"

NODE_KEY: Final = "node"
CONSENSUS_KEY: Final = "consensus"
"""Names of the two keys of a node in its key folder (`wallet.keyring`)."""

TIMER_PROFILES: Final = ("local", "wan")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("auto", "json", "text")


@dataclass(frozen=True, slots=True)
class Peer:
    """Say where a node of the roster is found; who may certify is written in the chain, not here."""

    operator: str
    node_key: PublicKey
    host: str
    port: int


def _key(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class Config:
    """Hold the settings of one node. The folder is absolute."""

    home: Path
    operator: str = _key("", "name of the operator who runs this node, for logs and screens")
    listen_host: str = _key("127.0.0.1", "address on which other nodes reach this one")
    listen_port: int = _key(9400, "port on which other nodes reach this one")
    timers: str = _key("local", "consensus timers: local (one building) or wan (several towns)")
    batch_window_ms: int = _key(
        BATCH_WINDOW_MS, "how long the leader waits for more transactions before it proposes"
    )
    block_txs_max: int = _key(2_000, "most transactions that this node puts into one block")
    gateway_host: str = _key("127.0.0.1", "address of JSON-RPC; other than loopback needs a token")
    gateway_port: int = _key(9500, "port of JSON-RPC, WebSocket, /metrics and /readyz")
    gateway_with_node: bool = _key(True, "whether `coopd run` starts the gateway beside the node")
    gateway_names: tuple[str, ...] = _key(
        (), "host names, beside localhost, under which the gateway is reached"
    )
    gateway_origins: tuple[str, ...] = _key(
        (), "web origins that may call the gateway, such as https://coop.example"
    )
    gateway_open: bool = _key(
        False, "whether callers from elsewhere may come without a token: for totals, and own rows"
    )
    log_level: str = _key("info", "debug, info, warning or error")
    log_format: str = _key("auto", "json, text, or auto: text on a terminal and json elsewhere")
    scrub_share_pct: int = _key(
        2, "share of one core that checks stored data against its hashes, in percent; 0 turns it off"
    )
    past_blocks: int = _key(1_000, "heights below the newest whose state can be asked for (`at`)")
    snapshot_every_blocks: int = _key(1_000, "blocks between two snapshots of this node; 0 makes none")
    snapshot_lag_blocks: int = _key(
        1_000, "an empty node that is further behind begins with a snapshot, when a peer has one"
    )
    plugins: tuple[str, ...] = _key(
        (), "distributions whose contracts this node has, each as name==version; none is loaded by itself"
    )
    accepted_restarts: tuple[str, ...] = _key(
        (), "hashes of restarts of the chain by people that this node may follow, as the co-op published them"
    )
    passphrase_file: str = _key("", "file (mode 0600) with the passphrase of sealed keys; none when empty")
    peers: tuple[Peer, ...] = ()

    @property
    def restarts(self) -> tuple[Hash32, ...]:
        """Hashes of the restarts that this node may follow."""
        return tuple(Hash32(bytes.fromhex(text.removeprefix("0x"))) for text in self.accepted_restarts)

    @property
    def genesis_path(self) -> Path:
        """Founding document of the chain."""
        return self.home / "genesis.bin"

    @property
    def keys_path(self) -> Path:
        """Folder of the keys `NODE_KEY` and `CONSENSUS_KEY`."""
        return self.home / "keys"

    @property
    def socket_path(self) -> Path:
        """UNIX socket between daemon and gateway."""
        return self.home / "daemon.sock"

    @property
    def store_path(self) -> Path:
        """Folder of the store."""
        return self.home / "store"

    @property
    def snapshots_path(self) -> Path:
        """Folder of the snapshots."""
        return self.home / "snapshots"

    @property
    def guard_path(self) -> Path:
        """File of the double-sign guard; never part of a backup."""
        return self.home / "sign_state"

    @property
    def consensus_path(self) -> Path:
        """Folder of later consensus keys and their guards; never part of a backup."""
        return self.home / "consensus"

    @property
    def evidence_path(self) -> Path:
        """File of the evidence that waits for a block."""
        return self.home / "evidence.bin"

    @property
    def token_path(self) -> Path:
        """File (mode 0600) with the token of the gateway."""
        return self.home / "gateway.token"


def load(
    home: Path | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Load the settings of the node whose data lie at `home`.

    Args:
        home: data folder; None is `COOPD_HOME`, else the default folder of the user.
        flags: values typed on the command line by key; None values are not typed.

    Raises:
        OperationError: config.unreadable, config.unknown_key or config.bad_value, naming key and origin.
    """
    folder = (home or Path(environ.get("COOPD_HOME") or DEFAULT_HOME)).expanduser().absolute()
    config = Config(folder)
    for values, origin in (
        (_read_file(folder / CONFIG_FILE), str(folder / CONFIG_FILE)),
        (_read_environment(environ), "the environment"),
        ({name: value for name, value in (flags or {}).items() if value is not None}, "the command line"),
    ):
        config = _merge(config, values, origin)
    return config


def render(config: Config) -> str:
    """Write settings as a TOML file in which every key is explained; defaults are comments."""
    lines = [
        "# Settings of one coopd node. A flag wins over COOPD_<KEY> in the environment, that over this file.",
        "",
    ]
    for entry in fields(Config):
        if entry.name in ("home", "peers"):
            continue
        value = getattr(config, entry.name)
        comment = "# " if value == entry.default else ""
        lines += [f"# {entry.metadata['doc']}", f"{comment}{entry.name} = {_to_toml(value)}", ""]
    lines += [
        "# The other nodes of the roster, one block each: operator, node_key (hex), host, port.",
    ]
    for peer in config.peers:
        lines += [
            "[[peers]]",
            f"operator = {_to_toml(peer.operator)}",
            f"node_key = {_to_toml(peer.node_key.hex())}",
            f"host = {_to_toml(peer.host)}",
            f"port = {peer.port}",
            "",
        ]
    return "\n".join(lines).rstrip("\n") + "\n"


def is_loopback(host: str) -> bool:
    """Tell whether an address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as failure:
        raise OperationError(
            "config.unreadable", f"{path} cannot be read.", str(failure), f"check owner and mode of {path}"
        ) from failure
    if len(data) > CONFIG_BYTES_MAX:
        raise OperationError(
            "config.unreadable",
            f"{path} cannot be read.",
            f"it has {len(data)} bytes, limit {CONFIG_BYTES_MAX}.",
            "check that it is the right file",
        )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise OperationError(
            "config.unreadable", f"{path} is not TOML.", f"{failure}.", "correct that line"
        ) from failure


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Take `COOPD_<KEY>` of known keys; other variables with the prefix belong to other tools."""
    found: dict[str, Any] = {}
    for entry in fields(Config):
        text = environ.get(ENVIRONMENT_PREFIX + entry.name.upper())
        if text is None or entry.name in ("home", "peers"):
            continue
        kind = type(entry.default)
        if kind is int and re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
            found[entry.name] = int(text)
        elif kind is bool and text in ("true", "false"):
            found[entry.name] = text == "true"
        elif kind is tuple:
            found[entry.name] = [part for part in text.split(",") if part]
        else:
            found[entry.name] = text
    return found


def _merge(config: Config, values: Mapping[str, Any], origin: str) -> Config:
    known = {entry.name: entry for entry in fields(Config) if entry.name != "home"}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            close = [key for key in known if key[:4] == name[:4]]
            raise OperationError(
                "config.unknown_key",
                f"The setting {name!r} is not known.",
                f"{origin} has it.",
                f"did you mean {' or '.join(close)}?" if close else "remove it, or see: coopd config default",
            )
        changes[name] = (
            _check_peers(value, origin)
            if name == "peers"
            else _check(known[name].default, name, value, origin)
        )
    return replace(config, **changes)


def _check(default: Any, name: str, value: Any, origin: str) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            _refuse(name, value, origin, "a list of texts")
        if name == "accepted_restarts" and not all(_RESTART_HASH.fullmatch(item) for item in value):
            _refuse(name, value, origin, "a list of hashes, each of 64 hexadecimal digits")
        return tuple(value)
    if type(value) is not type(default):
        _refuse(
            name, value, origin, {str: "a text", int: "a whole number", bool: "true or false"}[type(default)]
        )
    if name.endswith("_port") and not 1 <= value <= 65_535:
        _refuse(name, value, origin, "a port, 1 to 65535")
    if name in _BOUNDS and not _BOUNDS[name][0] <= value <= _BOUNDS[name][1]:
        _refuse(name, value, origin, f"a number of {_BOUNDS[name][0]} to {_BOUNDS[name][1]}")
    if name in _CHOICES and value not in _CHOICES[name]:
        _refuse(name, value, origin, " or ".join(_CHOICES[name]))
    return value


_RESTART_HASH: Final = re.compile(r"(0x)?[0-9a-f]{64}", re.ASCII)
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "timers": TIMER_PROFILES,
    "log_level": LOG_LEVELS,
    "log_format": LOG_FORMATS,
}
_BOUNDS: Final = {
    "batch_window_ms": (0, 10_000),
    "block_txs_max": (1, 5_000),
    "scrub_share_pct": (0, 50),
    "past_blocks": (100, 1_000_000),
    "snapshot_every_blocks": (0, 1_000_000),
    "snapshot_lag_blocks": (1, 1_000_000_000),
}


def _check_peers(value: Any, origin: str) -> tuple[Peer, ...]:
    if not isinstance(value, list) or len(value) > PEERS_MAX:
        _refuse("peers", type(value).__name__, origin, f"at most {PEERS_MAX} blocks [[peers]]")
    return tuple(
        _check_peer(entry, f"peers, block {number}", origin) for number, entry in enumerate(value, 1)
    )


def _check_peer(entry: Any, name: str, origin: str) -> Peer:
    wanted = {"operator": str, "node_key": str, "host": str, "port": int}
    if not isinstance(entry, dict) or set(entry) != set(wanted):
        _refuse(name, "its keys", origin, "a block with operator, node_key, host and port")
    for key, kind in wanted.items():
        if type(entry[key]) is not kind:
            _refuse(f"{name}: {key}", entry[key], origin, "a whole number" if kind is int else "a text")
    text = entry["node_key"]
    if not re.fullmatch(r"[0-9a-f]{66}", text) or not is_public_key(bytes.fromhex(text)):
        _refuse(f"{name}: node_key", text, origin, "a compressed public key, 66 hexadecimal digits")
    if not 1 <= entry["port"] <= 65_535:
        _refuse(f"{name}: port", entry["port"], origin, "a port, 1 to 65535")
    return Peer(entry["operator"], PublicKey(bytes.fromhex(text)), entry["host"], entry["port"])


def _refuse(name: str, value: Any, origin: str, wanted: str) -> NoReturn:
    raise OperationError(
        "config.bad_value",
        f"The setting {name} is not accepted.",
        f"{origin} says {str(value)[:80]!r}; it must be {wanted}.",
        "correct it, or remove it to take the default",
    )


def _to_toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_to_toml(item) for item in value) + "]"
    return '"' + "".join(_escape(char) for char in value) + '"'


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return f"\\u{ord(char):04x}" if char < " " or char == "\x7f" else char
