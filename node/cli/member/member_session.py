"""What the flags of this run of `coop` say; every command of a member reads it."""

import time
from typing import Final

from node.cli.member.member_home import Connection, MemberHome
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Terminal, default_language
from node.rpc.sign_in import sign_proof
from protocol.contracts import REGISTRY
from protocol.contracts.policies import address_of_key
from protocol.types import Address
from protocol.vm.contract import Registry

SIGNED_IN_SECONDS: Final = 3_600
"""How long a proof holds that a command shows to a gateway."""


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
        self._proofs: dict[str, str] = {}

    def client(self) -> RpcClient:
        """Return the connection to the node."""
        connection = Connection(self.rpc) if self.rpc else self.home.connection()
        sign_in = None if connection.token else self._sign_in
        return RpcClient(connection.url, connection.token, self.terminal.language, sign_in=sign_in)

    def _sign_in(self, host: str) -> str:
        """Return a proof for a gateway that the key which acts is here now; one for all of this run."""
        if host not in self._proofs:
            name, address = self.me()
            secret = self.home.keyring.load(name, self.passphrase(name))
            genesis_hash = self.home.chain().genesis.compute_hash()
            expires = int(time.time()) + SIGNED_IN_SECONDS
            self._proofs[host] = sign_proof(secret, genesis_hash, host, address, expires)
        return self._proofs[host]

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
