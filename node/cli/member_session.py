"""What the flags of this run of `coop` say; every command of a member reads it."""

from node.cli.member_home import Connection, MemberHome
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Terminal, default_language
from protocol.contracts.policies import address_of_key
from protocol.types import Address


class Session:
    """What the flags of this run say."""

    def __init__(self) -> None:
        self.terminal = Terminal(language=default_language())
        self.home = MemberHome(None)
        self.rpc: str | None = None
        self.acts_as: str | None = None

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

    def passphrase(self, name: str) -> str | None:
        """Ask for the passphrase of a key that is sealed."""
        if not self.home.keyring.entry(name).encrypted:
            return None
        return self.terminal.secret(f"passphrase of {name}: ")


session = Session()
