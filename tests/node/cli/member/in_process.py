"""Commands of `coop` in this process, at a gateway over a small chain: ada acts, bo and cy have keys, too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.catalog import by_slug, fill
from node.cli.member.member_home import Connection, MemberHome
from node.cli.member.member_session import session
from node.cli.terminal import Failure, Terminal
from node.cluster.founding import demo_phrase
from tests.node.rpc.conftest import Caller, open_gateway
from tests.node.small_chain import SmallChain


class Client:
    """What a command asks a node with; here the gateway is in this process."""

    def __init__(self, gateway: Caller) -> None:
        self.gateway = gateway

    def call(self, method: str, **params: Any) -> Any:
        answer = self.gateway.call(method, **params)
        if isinstance(answer, dict) and "message" in answer and "code" in answer:
            data = answer["data"]
            text = fill(by_slug(data["slug"]), "en", data["params"])
            raise Failure(text.what, text.why, text.fix, data["slug"])
        return answer


def open_session(chain: SmallChain, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """Let commands act as ada, signing without asking; the chain makes a block of what they send."""
    home = MemberHome(folder)
    home.pin(Connection("http://127.0.0.1:1"), chain.genesis)
    for name in ("ada", "bo", "cy"):
        home.keyring.recover(name, demo_phrase(name), None)
    opened = open_gateway(chain)
    client = Client(next(opened))
    now: dict[str, Any] = {"home": home, "terminal": Terminal(yes=True), "client": lambda: client}
    for name, value in {**now, "sponsor": None, "acts_as": "ada"}.items():
        monkeypatch.setattr(session, name, value)
    yield client.gateway
    next(opened, None)
