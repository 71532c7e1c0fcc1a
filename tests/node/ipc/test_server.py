"""The socket end to end: trio server, asyncio and blocking clients, each in its own thread."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from node.errors import OperationError
from node.ipc.ask import ask
from node.ipc.client import DaemonClient, DaemonUnreachable
from node.ipc.messages import (
    Accuse,
    Admin,
    AskPeers,
    AskStatus,
    Done,
    Peers,
    Prove,
    Proved,
    Status,
    Verdict,
    encode_message,
)
from node.ipc.server import CLIENTS_MAX, REQUESTS_RUNNING_MAX, IpcServer
from protocol.errors import Code, Rejected
from protocol.merkle.proof import StateProof
from protocol.types import Height, TimeMs


class FakeDaemon:
    def __init__(self) -> None:
        self.batches: list[tuple[bytes, ...]] = []
        self.commands: list[tuple[str, tuple[str, ...]]] = []

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[Verdict, ...]:
        self.batches.append(transactions)
        await trio.lowlevel.checkpoint()
        return tuple(Verdict(0) if raw else Verdict(int(Code.MALFORMED), "empty") for raw in transactions)

    async def prove(self, key: bytes) -> Proved:
        return Proved(Height(4), key, StateProof(b"", ()))

    async def accuse(self, evidence: bytes) -> None:
        if evidence != b"proof":
            raise Rejected(Code.BAD_PROOF, "it convicts nobody")

    async def admin(self, command: str, arguments: tuple[str, ...]) -> None:
        if command == "bad":
            raise Rejected(Code.UNKNOWN_METHOD, "no such command")
        self.commands.append((command, arguments))

    def status(self) -> Status:
        return Status(
            "n1",
            "0",
            Height(4),
            TimeMs(0),
            Height(4),
            "leader",
            "n1",
            1,
            0,
            0,
            0,
            0,
            0,
            0,
            True,
        )

    def peers(self) -> Peers:
        return Peers(())


@pytest.fixture
async def served(tmp_path: Path, nursery: trio.Nursery) -> tuple[Path, FakeDaemon, IpcServer]:
    daemon = FakeDaemon()
    server = IpcServer(tmp_path / "daemon.sock", daemon)
    await nursery.start(server.run)
    return tmp_path / "daemon.sock", daemon, server


async def test_the_socket_is_for_its_owner_alone(served: tuple[Path, FakeDaemon, IpcServer]) -> None:
    assert stat.S_IMODE(os.stat(served[0]).st_mode) == 0o600


async def test_every_request_is_answered(served: tuple[Path, FakeDaemon, IpcServer]) -> None:
    path, daemon, _ = served
    status = await trio.to_thread.run_sync(ask, path, AskStatus())
    assert isinstance(status, Status) and status.height == 4
    assert await trio.to_thread.run_sync(ask, path, AskPeers()) == Peers(())
    proved = await trio.to_thread.run_sync(ask, path, Prove(b"key"))
    assert isinstance(proved, Proved) and proved.value == b"key"
    assert await trio.to_thread.run_sync(ask, path, Admin("cut", ("02",))) == Done()
    assert await trio.to_thread.run_sync(ask, path, Accuse(b"proof")) == Done()
    assert daemon.commands == [("cut", ("02",))]


async def test_a_refusal_keeps_its_code(served: tuple[Path, FakeDaemon, IpcServer]) -> None:
    with pytest.raises(Rejected) as caught:
        await trio.to_thread.run_sync(ask, served[0], Admin("bad"))
    assert caught.value.code == Code.UNKNOWN_METHOD


async def test_nobody_home_is_said_in_three_lines(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        await trio.to_thread.run_sync(ask, tmp_path / "none.sock", AskStatus())
    assert caught.value.slug == "ipc.unreachable"


async def test_nonsense_costs_the_sender_its_connection_and_nobody_else(
    served: tuple[Path, FakeDaemon, IpcServer],
) -> None:
    path = served[0]
    for nonsense in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1"):
        stream = await trio.open_unix_socket(path)
        await stream.send_all(nonsense)
        assert await stream.receive_some() == b""
    assert isinstance(await trio.to_thread.run_sync(ask, path, AskStatus()), Status)


async def test_clients_beyond_the_limit_are_turned_away(served: tuple[Path, FakeDaemon, IpcServer]) -> None:
    path = served[0]
    streams = [await trio.open_unix_socket(path) for _ in range(CLIENTS_MAX)]
    await trio.testing.wait_all_tasks_blocked()
    one_more = await trio.open_unix_socket(path)
    assert await one_more.receive_some() == b""
    await streams[0].aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert isinstance(await trio.to_thread.run_sync(ask, path, AskStatus()), Status)


async def test_a_socket_left_behind_is_replaced(tmp_path: Path, nursery: trio.Nursery) -> None:
    path = tmp_path / "daemon.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await nursery.start(IpcServer(path, FakeDaemon()).run)
    assert isinstance(await trio.to_thread.run_sync(ask, path, AskStatus()), Status)


async def test_the_gateways_client_batches_submissions_and_hears_of_commits(
    served: tuple[Path, FakeDaemon, IpcServer],
) -> None:
    path, daemon, server = served

    async def gateway() -> tuple[list[Verdict], list[Height], bool]:
        heard: list[Height] = []
        news = asyncio.Event()

        def on_committed(height: Height) -> None:
            heard.append(height)
            news.set()

        client = DaemonClient(path, on_committed)
        task = asyncio.create_task(client.run())
        while not client.is_connected:
            await asyncio.sleep(0.001)
        verdicts = await asyncio.gather(*(client.submit(raw) for raw in (b"a", b"", b"c")))
        trio.from_thread.run_sync(server.publish_committed, Height(9), trio_token=token)
        await news.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        try:
            await client.ask(AskStatus())
        except DaemonUnreachable as unreachable:
            return list(verdicts), heard, unreachable.sent
        raise AssertionError("answered without a connection")

    token = trio.lowlevel.current_trio_token()
    verdicts, heard, sent = await trio.to_thread.run_sync(asyncio.run, gateway())
    assert [v.code for v in verdicts] == [0, Code.MALFORMED, 0]
    assert daemon.batches == [(b"a", b"", b"c")]
    assert heard == [9] and not sent


async def test_a_connection_that_breaks_leaves_the_outcome_unknown_and_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"

    async def gateway() -> tuple[bool, bool]:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)  # the submission has arrived, nobody will answer
            writer.close()

        server = await asyncio.start_unix_server(hang_up, path)
        client = DaemonClient(path, lambda height: None)
        task = asyncio.create_task(client.run())
        sent = []
        for _ in range(2):
            while not client.is_connected:
                await asyncio.sleep(0.001)
            try:
                await client.submit(b"tx")
            except DaemonUnreachable as unreachable:
                sent.append(unreachable.sent)
            while client.is_connected:
                await asyncio.sleep(0.001)
        task.cancel()
        server.close()
        return sent[0], sent[1]

    assert await trio.to_thread.run_sync(asyncio.run, gateway()) == (True, True)


class SlowDaemon(FakeDaemon):
    """Ends no command before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.end = trio.Event()

    async def admin(self, command: str, arguments: tuple[str, ...]) -> None:
        await super().admin(command, arguments)
        await self.end.wait()


async def test_so_many_requests_of_a_client_run_and_one_more_waits(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    daemon = SlowDaemon()
    await nursery.start(IpcServer(tmp_path / "daemon.sock", daemon).run)
    async with await trio.open_unix_socket(tmp_path / "daemon.sock") as stream:
        for number in range(REQUESTS_RUNNING_MAX + 1):
            await stream.send_all(encode_message(number + 1, Admin("wait")))
        with trio.fail_after(20):
            while len(daemon.commands) < REQUESTS_RUNNING_MAX:
                await trio.sleep(0.001)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(daemon.commands) == REQUESTS_RUNNING_MAX
            daemon.end.set()
            while len(daemon.commands) <= REQUESTS_RUNNING_MAX:
                await trio.sleep(0.001)
