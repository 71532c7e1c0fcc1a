"""Which node a command of the operator means, and whose keys it signs with: by folder, found once.

A folder is that of one node, or that of a local cluster; without one it is the node of this user, else the
local cluster of this user. It knows folders and addresses, not what is asked there.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.operator.localnet import localnet_home
from node.cli.rpc_client import RpcClient
from node.cli.session import session
from node.cli.terminal import Exit, Failure
from node.config import CONFIG_FILE, DEFAULT_HOME, NODE_KEY, Config, load
from protocol.chain.genesis import Genesis, decode_genesis

if TYPE_CHECKING:
    from node.keychain import OwnKeys

BOARD_FOLDER = "board"


@dataclass(frozen=True, slots=True)
class Place:
    """A node, or the nodes of a local cluster.

    Args:
        configs: of the nodes that are meant, one or more.
        board: folder of the keys that decide a change of epoch.
    """

    configs: tuple[Config, ...]
    board: Path

    @property
    def genesis(self) -> Genesis:
        """Return the founding document."""
        return decode_genesis(self.configs[0].genesis_path.read_bytes())

    def client(self) -> RpcClient:
        """Return a connection to the first gateway that answers.

        Raises:
            Failure: none does.
        """
        failure: Failure | None = None
        for config in self.configs:
            client = client_of(config)
            try:
                client.call("node_getStatus")
            except Failure as silence:
                if silence.code is not Exit.UNREACHABLE:
                    raise
                failure = silence
            else:
                return client
        assert failure is not None, "a place has a node"
        raise failure


def client_of(config: Config) -> RpcClient:
    """Return a connection to the gateway of a node of this machine."""
    host = "127.0.0.1" if config.gateway_host in ("0.0.0.0", "::") else config.gateway_host
    try:
        token = config.token_path.read_text(encoding="ascii").strip()
    except OSError:
        token = None
    return RpcClient(f"http://{host}:{config.gateway_port}", token, session.terminal.language)


def find_place() -> Place:
    """Find what --home means, or what there is without it.

    Raises:
        Failure: there is no node.
        OperationError: those of the configuration.
    """
    home = (session.home or Path(os.environ.get("COOPD_HOME") or DEFAULT_HOME)).expanduser().absolute()
    cluster = home if session.home is not None else localnet_home()
    if (home / CONFIG_FILE).exists():
        return Place((load(home),), home.parent / BOARD_FOLDER)
    from node.cluster.local import STATE_FILE, LocalNet

    if (cluster / STATE_FILE).exists():
        net = LocalNet.open(cluster)
        return Place(tuple(load(Path(n.home), environ={}) for n in net.state.nodes), net.board_home)
    raise Failure(
        "There is no node here.",
        f"neither {home} nor {cluster} holds one.",
        "name its folder with --home, or make one: coopd init, or coopd localnet up",
        "cli.no_node",
        Exit.USAGE,
    )


def own_keys(config: Config) -> "OwnKeys":
    """Open the folder of a node's consensus keys; asks for the passphrase when they are sealed."""
    from node.keychain import OwnKeys

    return OwnKeys(config, lambda: read_passphrase(config))


def read_passphrase(config: Config) -> str | None:
    """Return the passphrase of a node's keys: of its file, or typed; None when they lie open."""
    from node.keychain import read_kept_passphrase
    from node.wallet.keyring import Keyring

    if not Keyring(config.keys_path).entry(NODE_KEY).encrypted:
        return None
    kept = read_kept_passphrase(config)
    if kept is not None:
        return kept
    return session.terminal.secret(f"passphrase of the keys of {config.operator}: ")
