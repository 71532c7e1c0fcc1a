"""A member at a gateway that is elsewhere: commands sign in by themselves, and only where rows need it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.cli.coop import me, pay
from node.cli.member.cash import show_statement
from node.cli.member.member_home import Connection, MemberHome
from node.cli.member.member_session import Session, session
from node.cli.terminal import Failure, Terminal
from node.cluster.founding import demo_address, demo_phrase
from protocol.addresses import HRP_TEST, format_address
from tests.node.rpc.conftest import open_gateway
from tests.node.rpc.test_live import live
from tests.node.small_chain import SmallChain

BO = format_address(demo_address("bo"), HRP_TEST)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Any]:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.commit(chain.pay("ada", "bo", 2_500))
    yield from open_gateway(chain)


class Proxied:
    """The gateway behind a proxy, so that its callers are from elsewhere."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.signed_in: list[bool] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [*scope["headers"], (b"x-forwarded-for", b"192.0.2.7")]
        self.signed_in.append(any(name == b"authorization" for name, _ in headers))
        await self.app({**scope, "headers": headers}, receive, send)


def act(gateway: Any, home: Path, monkeypatch: pytest.MonkeyPatch, what: Callable[[], None]) -> None:
    """Run a command of ada over HTTP at the gateway behind its proxy."""

    async def use(host: str, port: int) -> None:
        folder = MemberHome(home)
        folder.pin(Connection(f"http://{host}"), gateway.chain.genesis)
        folder.keyring.recover("ada", demo_phrase("ada"), None)
        now = Session()
        now.home, now.terminal, now.acts_as = folder, Terminal(yes=True), "ada"
        for name in ("home", "terminal", "acts_as", "_proofs"):
            monkeypatch.setattr(session, name, getattr(now, name))
        await asyncio.to_thread(what)

    live(gateway, use)


def pay_bo() -> None:
    pay(BO, "25")


@pytest.mark.parametrize(
    ("command", "words"), [(me, "height 1"), (show_statement, "25.00"), (pay_bo, "committed")]
)
def test_a_command_shows_a_member_his_own(
    gateway: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Callable[[], None],
    words: str,
) -> None:
    gateway.app = Proxied(gateway.app)
    act(gateway, tmp_path / "home", monkeypatch, command)
    assert words in capsys.readouterr().out
    assert gateway.app.signed_in[-1] and not gateway.app.signed_in[0]


def test_what_is_public_needs_no_key_and_rows_of_others_stay_hidden(
    gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.app = Proxied(gateway.app)

    def read() -> None:
        client = session.client()
        assert client.call("ledger_totals", asset=1)["value"] and not any(gateway.app.signed_in)
        with pytest.raises(Failure) as refused:
            client.call("assets_balance", address=BO, asset=1)
        assert refused.value.label == "E1202 rpc.not_yours" and gateway.app.signed_in == [False, False, True]

    act(gateway, tmp_path / "home", monkeypatch, read)
