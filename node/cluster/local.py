"""A co-operative on one machine: N nodes with their gateways, in one folder, found and run by one command.

`create` makes folders, keys and genesis; `start` forks the processes after the imports, so that they start
fast and share memory; everything that is known lies in `localnet.json`, so other commands find the processes
again. It does not know terminals (`cli/operator/localnet.py`).
"""

import shutil
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from node.cluster.founding import Operator, demo_phrase
from node.cluster.processes import Started, fork_into, is_alive, reap, spawn, stop_all
from node.cluster.scenarios import PLAIN, SCENARIOS, Scenario
from node.config import CONFIG_FILE, CONSENSUS_KEY, NODE_KEY, Config, Peer, load, render
from node.errors import OperationError
from node.files import write_whole
from node.ipc.ask import ask
from node.ipc.messages import AskStatus, Status
from node.signer import Signer
from node.wallet.keyring import Keyring
from protocol.addresses import HRP_TEST, format_address
from protocol.chain.genesis import Genesis, decode_genesis
from protocol.chain.validators import EngineKind
from protocol.crypto import public_key_of
from protocol.params import BFT_VALIDATORS_MIN
from protocol.types import PublicKey

STATE_FILE: Final = "localnet.json"
BASE_PORT: Final = 9_400
PORT_STEP: Final = 100
GATEWAY_OFFSET: Final = 50
PORT_BLOCKS_TRIED: Final = 50
NODES_MAX: Final = 20
READY_SECONDS: Final = 30.0


class LocalNode(msgspec.Struct):
    """One node of the cluster, and its processes when they were started."""

    name: str
    home: str
    node_key: str
    listen_port: int
    gateway_port: int
    daemon: Started | None = None
    gateway: Started | None = None

    @property
    def url(self) -> str:
        """Return the address of its gateway."""
        return f"http://127.0.0.1:{self.gateway_port}"

    def status(self, timeout_seconds: float = 2.0) -> Status | None:
        """Ask the daemon how it is; None when it does not answer."""
        try:
            answer = ask(Path(self.home) / "daemon.sock", AskStatus(), timeout_seconds)
        except OperationError:
            return None
        assert isinstance(answer, Status)
        return answer


class LocalState(msgspec.Struct):
    """What lies in `localnet.json`."""

    base_port: int
    load_members: int
    nodes: list[LocalNode]
    scenario: str = PLAIN
    ahead_ms: int = 0


class LocalNet:
    """The cluster in one folder."""

    def __init__(self, home: Path, state: LocalState) -> None:
        self.home = home
        self.state = state

    @classmethod
    def create(
        cls,
        home: Path,
        nodes: int = 3,
        base_port: int = BASE_PORT,
        load_members: int = 0,
        settings: dict[str, object] | None = None,
        *,
        spare: int = 0,
        engine: EngineKind = EngineKind.RAFT,
        scenario: str = PLAIN,
    ) -> "LocalNet":
        """Make folders, keys, contacts and genesis; the ports may move by blocks of 100.

        Args:
            nodes: validators of the first epoch.
            spare: nodes more that only follow, until a change of epoch takes them in.
            scenario: a key of `scenarios.SCENARIOS`.

        Raises:
            OperationError: localnet.exists, localnet.ports, localnet.nodes, key.*.
        """
        if (home / STATE_FILE).exists():
            raise OperationError(
                "localnet.exists",
                "There is a local cluster already.",
                f"{home / STATE_FILE} exists.",
                "go on with it: coopd localnet up, or forget it: coopd localnet clean",
            )
        low = BFT_VALIDATORS_MIN if engine is EngineKind.BFT else 1
        if not (low <= nodes and spare >= 0 and nodes + spare <= NODES_MAX):
            raise OperationError(
                "localnet.nodes",
                "No cluster was made.",
                f"{nodes} nodes and {spare} spare; {engine.name} has {low} to {NODES_MAX} in all.",
                "choose another number",
            )
        base = find_ports(base_port, nodes + spare)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = [f"n{number}" for number in range(1, nodes + spare + 1)]
        operators = tuple(_make_operator(home / name, name) for name in names)
        now_ms = int(time.time() * 1_000)
        founded = SCENARIOS[scenario]
        genesis = founded.make_genesis(
            operators[:nodes], now_ms, load_members, spare=operators[nodes:], engine=engine
        )
        locals_ = [_local_node(home, operator, base, at) for at, operator in enumerate(operators, 1)]
        for node in locals_:
            _write_node(node, locals_, genesis, settings or {})
        _write_members(home / "coop", founded, genesis, locals_[0].url)
        write_board(home / "board", founded)
        net = cls(home, LocalState(base, load_members, locals_, scenario))
        net.save()
        return net

    @classmethod
    def open(cls, home: Path) -> "LocalNet":
        """Open the cluster of a folder.

        Raises:
            OperationError: localnet.missing.
        """
        try:
            state = msgspec.json.decode((home / STATE_FILE).read_bytes(), type=LocalState)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            raise OperationError(
                "localnet.missing",
                "There is no local cluster here.",
                f"{home} holds none.",
                "make one: coopd localnet up, or name its folder with --home",
            ) from None
        return cls(home, state)

    @property
    def member_home(self) -> Path:
        """Return the folder of the demo members, for `coop --home`."""
        return self.home / "coop"

    @property
    def board_home(self) -> Path:
        """Return the folder of the demo board's keys, which decide a change of epoch."""
        return self.home / "board"

    @property
    def genesis(self) -> Genesis:
        """Return the founding document."""
        return decode_genesis((Path(self.state.nodes[0].home) / "genesis.bin").read_bytes())

    @property
    def processes(self) -> list[Started]:
        """List everything that runs."""
        found = [p for node in self.state.nodes for p in (node.daemon, node.gateway) if p is not None]
        return [process for process in found if is_alive(process)]

    def node(self, name: str) -> LocalNode:
        """Return a node by name.

        Raises:
            OperationError: localnet.no_node.
        """
        for node in self.state.nodes:
            if node.name == name:
                return node
        raise OperationError(
            "localnet.no_node",
            f"There is no node {name}.",
            f"the nodes are: {', '.join(node.name for node in self.state.nodes)}.",
            "name one of them",
        )

    def save(self) -> None:
        """Write what is known, whole."""
        write_whole(self.home / STATE_FILE, msgspec.json.format(msgspec.json.encode(self.state), indent=2))

    def start(self) -> None:
        """Fork all processes that do not run; the imports happen once, before."""
        from node.rpc.gateway import run_gateway

        configs = [load(Path(node.home), environ={}) for node in self.state.nodes]
        for node, config in zip(self.state.nodes, configs, strict=True):
            if not is_alive(node.gateway):
                node.gateway = fork_into(config.home / "gateway.log", partial(run_gateway, config))
        # The gateways do without what comes now: libp2p, a second and 50 MiB.
        from node.daemon import run_node

        for node, config in zip(self.state.nodes, configs, strict=True):
            if not is_alive(node.daemon):
                node.daemon = fork_into(config.home / "node.log", _as_node(config, run_node))
        self.save()

    def restart(self, node: LocalNode) -> None:
        """Start the daemon of a node anew, and its gateway when that is gone."""
        home = Path(node.home)
        if not is_alive(node.daemon):
            node.daemon = spawn(["run", "--home", node.home, "--no-gateway"], home / "node.log")
        if not is_alive(node.gateway):
            node.gateway = spawn(["gateway", "--home", node.home], home / "gateway.log")
        self.save()

    def stop(self) -> None:
        """End all processes."""
        stop_all(self.processes)

    def clean(self) -> None:
        """End all processes and remove the folder."""
        self.stop()
        shutil.rmtree(self.home)

    def wait_height(self, height: int, seconds: float = READY_SECONDS) -> int:
        """Wait until every node has a height; returns the lowest one.

        Raises:
            OperationError: localnet.stuck.
        """
        if not self.wait(lambda all_: all(s is not None and s.height >= height for s in all_), seconds):
            raise OperationError(
                "localnet.stuck",
                f"Not every node has height {height:,}.",
                f"waited {seconds:.0f} s.",
                "see: coopd localnet status",
            )
        return min(status.height for node in self.state.nodes if (status := node.status()) is not None)

    def wait(self, condition: Callable[[list[Status | None]], bool], seconds: float = READY_SECONDS) -> bool:
        """Ask all nodes again and again until a condition on their answers holds; tell whether it did."""
        deadline = time.monotonic() + seconds
        while True:
            if condition([node.status(0.5) for node in self.state.nodes]):
                return True
            reap()
            if time.monotonic() > deadline or not any(is_alive(node.daemon) for node in self.state.nodes):
                return False
            time.sleep(0.02)


def find_ports(base_port: int, nodes: int) -> int:
    """Return the first block of ports, in steps of 100, in which all that are needed are free.

    Raises:
        OperationError: localnet.ports.
    """
    for block in range(PORT_BLOCKS_TRIED):
        base = base_port + block * PORT_STEP
        if base + PORT_STEP > 65_535:
            break
        needed = [base + offset + n for offset in (0, GATEWAY_OFFSET) for n in range(1, nodes + 1)]
        if all(is_free(port) for port in needed):
            return base
    raise OperationError(
        "localnet.ports",
        "No cluster was made: there are no free ports.",
        f"{PORT_BLOCKS_TRIED} blocks of ports from {base_port} on have busy ones.",
        "choose others: coopd localnet up --port 20000",
    )


def is_free(port: int) -> bool:
    """Tell whether a port of this machine can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _as_node(config: Config, run_node: Callable[[Config], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        import trio

        from node.log import set_up

        set_up(config.log_level, config.log_format)
        trio.run(run_node, config)

    return run


def _make_operator(home: Path, name: str) -> Operator:
    ring = Keyring(home / "keys", demo=True)
    for key in (NODE_KEY, CONSENSUS_KEY):
        ring.create(key, None)
    return Operator(name, ring.load(NODE_KEY, None), ring.load(CONSENSUS_KEY, None))


def _local_node(home: Path, operator: Operator, base: int, at: int) -> LocalNode:
    key = public_key_of(operator.node_key).hex()
    return LocalNode(operator.name, str(home / operator.name), key, base + at, base + GATEWAY_OFFSET + at)


def _write_node(
    node: LocalNode, nodes: list[LocalNode], genesis: Genesis, settings: dict[str, object]
) -> None:
    home = Path(node.home)
    peers = tuple(
        Peer(other.name, public_key_of_hex(other.node_key), "127.0.0.1", other.listen_port)
        for other in nodes
        if other.name != node.name
    )
    config = Config(
        home,
        operator=node.name,
        listen_port=node.listen_port,
        gateway_port=node.gateway_port,
        gateway_with_node=False,
        peers=peers,
    )
    (home / CONFIG_FILE).write_text(render(replace(config, **settings)), encoding="utf-8")  # type: ignore[arg-type]
    Signer.create(config.guard_path, Keyring(config.keys_path).entry(CONSENSUS_KEY).public_key)
    (home / "genesis.bin").write_bytes(genesis.encode())


def public_key_of_hex(text: str) -> PublicKey:
    """Return a public key that is written in hex."""
    return PublicKey(bytes.fromhex(text))


def write_board(home: Path, scenario: Scenario = SCENARIOS[PLAIN]) -> None:
    """Make the folder from which the demo board signs: its keys, and how many of them decide."""
    ring = Keyring(home / "keys", demo=True)
    keys = [ring.recover(name, demo_phrase(name), None).public_key.hex() for name in scenario.board]
    account = {"threshold": scenario.board_threshold, "keys": keys}
    (home / "account.json").write_bytes(msgspec.json.format(msgspec.json.encode(account)))


def _write_members(home: Path, scenario: Scenario, genesis: Genesis, url: str) -> None:
    """Make a folder for `coop` with the demo members' keys, contacts, and the chain pinned."""
    ring = Keyring(home / "keys", demo=True)
    for name in scenario.wallets:
        ring.recover(name, demo_phrase(name), None)
    contacts = {name: format_address(found, HRP_TEST) for name, found in scenario.addresses().items()}
    (home / "contacts.json").write_bytes(msgspec.json.format(msgspec.json.encode(contacts)))
    (home / "genesis.bin").write_bytes(genesis.encode())
    (home / "connection.json").write_bytes(msgspec.json.encode({"url": url, "token": None}))
