"""What the flags of this run of `coop` say; every command of a member reads it."""

from node.cli.member.member_home import Connection, MemberHome
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Terminal, default_language
from protocol.contracts import REGISTRY
from protocol.contracts.policies import address_of_key
from protocol.types import Address
from protocol.vm.contract import Registry


class Session:
    """What the flags of this run say."""

    def __init__(self) -> None:
        self.terminal = Terminal(language=default_language())
        self.home = MemberHome(None)
        self.rpc: str | None = None
        self.acts_as: str | None = None
        self.sponsor: str | None = None
        self.has_plugins = False
        self._contracts: Registry | None = None

    def client(self) -> RpcClient:
        """Return the connection to the node."""
        connection = Connection(self.rpc) if self.rpc else self.home.connection()
        return RpcClient(connection.url, connection.token, self.terminal.language)

    def me(self) -> tuple[str, Address]:
        """Return name and address of the key that acts.

        Raises:
            Failure: there is none, or one must be named.
        """
        name = self.home.pick_key(self.acts_as)
        return name, address_of_key(self.home.keyring.entry(name).public_key)

    def load_plugins(self, names: tuple[str, ...]) -> None:
        """Load contracts of the co-op's own, each `name==version`, to call them by name.

        Raises:
            OperationError: plugin.*.
        """
        from node.plugin.loading import install_plugins

        install_plugins(names)
        self.has_plugins = True

    def contracts(self) -> Registry:
        """Return the contracts in the versions that the chain runs; of plugins those that are loaded here.

        Raises:
            Failure: the node does not answer; asked only when there are plugins.
        """
        if self._contracts is None:
            running = self.client().call("registry_versions")["value"] if self.has_plugins else ()
            pairs = [(int(one["contract"]), int(one["version"])) for one in running]
            self._contracts = REGISTRY.at(tuple([pair for pair in pairs if REGISTRY.find(*pair) is not None]))
        assert self._contracts is not None, "every version in it was found"
        return self._contracts

    def passphrase(self, name: str) -> str | None:
        """Ask for the passphrase of a key that is sealed."""
        if not self.home.keyring.entry(name).encrypted:
            return None
        return self.terminal.secret(f"passphrase of {name}: ")


session = Session()


def known_contracts() -> Registry:
    """Return the contracts that this run can type and show."""
    return session.contracts()
