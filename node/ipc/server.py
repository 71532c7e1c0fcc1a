"""The daemon's side of the socket (trio): answers requests, tells every client of each commit.

It knows frames and clients; what an answer says is the business of its handlers. A client that sends
nonsense, or too much at once, loses its connection; no client can delay another, nor the daemon.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, assert_never

import trio

from node.errors import OperationError
from node.ipc.frames import FrameReader
from node.ipc.messages import (
    NOTICE_ID,
    Accuse,
    Admin,
    Answer,
    AskPeers,
    AskStatus,
    Committed,
    Done,
    Message,
    Peers,
    Prove,
    Proved,
    Refused,
    Request,
    Status,
    Submit,
    Submitted,
    Verdict,
    decode_request,
    encode_message,
)
from protocol.errors import Rejected
from protocol.types import Height

CLIENTS_MAX: Final = 32
REQUESTS_RUNNING_MAX: Final = 64
"""Requests of one client that run at once; further ones wait in the socket."""
_READ_BYTES: Final = 256 * 1024


class Handlers(Protocol):
    """What the daemon answers. `Rejected` becomes a refusal with its code."""

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[Verdict, ...]: ...

    async def prove(self, key: bytes) -> Proved: ...

    async def accuse(self, evidence: bytes) -> None: ...

    async def admin(self, command: str, arguments: tuple[str, ...]) -> None: ...

    def status(self) -> Status: ...

    def peers(self) -> Peers: ...


class IpcServer:
    """Serve a UNIX socket of mode 0600 at a path.

    Args:
        path: made at the start, removed at the end; one left behind by a dead process is replaced.
    """

    __slots__ = ("_clients", "_handlers", "_height", "_path")

    def __init__(self, path: Path, handlers: Handlers) -> None:
        self._path = path
        self._handlers = handlers
        self._clients: set[_Client] = set()
        self._height = Height(0)

    def publish_committed(self, height: Height) -> None:
        """Tell every client that a block is on disk; never waits."""
        self._height = height
        for client in self._clients:
            client.news.set()

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled.

        Raises:
            OperationError: ipc.socket: the socket cannot be made.
        """
        listener = trio.SocketListener(await self._bind())
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                await trio.serve_listeners(self._serve, [listener], handler_nursery=nursery)
        finally:
            with suppress(OSError):
                os.unlink(self._path)

    async def _bind(self) -> trio.socket.SocketType:
        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            previous = os.umask(0o177)
            try:
                await sock.bind(os.fspath(self._path))
            finally:
                os.umask(previous)
            sock.listen(CLIENTS_MAX)
        except OSError as failure:
            sock.close()
            raise OperationError(
                "ipc.socket",
                f"The socket {self._path} could not be made.",
                f"{failure.strerror or failure}.",
                "check that the data folder is writable and its path shorter than 100 characters",
            ) from failure
        return sock

    async def _serve(self, stream: trio.SocketStream) -> None:
        if len(self._clients) >= CLIENTS_MAX:
            await stream.aclose()
            return
        client = _Client(stream)
        self._clients.add(client)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_news, client)
                await self._read(client, nursery)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, Rejected):
            pass
        finally:
            self._clients.discard(client)
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await stream.aclose()

    async def _read(self, client: "_Client", nursery: trio.Nursery) -> None:
        frames = FrameReader()
        while data := await client.stream.receive_some(_READ_BYTES):
            for data_of_frame in frames.feed(data):
                request_id, request = decode_request(data_of_frame)
                await client.running.acquire()
                nursery.start_soon(self._answer, client, request_id, request)

    async def _answer(self, client: "_Client", request_id: int, request: Request) -> None:
        try:
            answer = await self._handle(request)
        except Rejected as refusal:
            answer = Refused(refusal.code, refusal.detail)
        finally:
            client.running.release()
        await client.send(request_id, answer)

    async def _handle(self, request: Request) -> Answer:
        match request:
            case Submit(transactions):
                return Submitted(await self._handlers.submit(transactions))
            case AskStatus():
                return self._handlers.status()
            case AskPeers():
                return self._handlers.peers()
            case Prove(key):
                return await self._handlers.prove(key)
            case Accuse(evidence):
                await self._handlers.accuse(evidence)
                return Done()
            case Admin(command, arguments):
                await self._handlers.admin(command, arguments)
                return Done()
            case _:
                assert_never(request)

    async def _send_news(self, client: "_Client") -> None:
        """Send the newest height; heights that pass while a notice is on its way are left out."""
        sent = Height(0)
        while True:
            if self._height > sent:
                sent = self._height
                await client.send(NOTICE_ID, Committed(sent))
            else:
                client.news = trio.Event()
                await client.news.wait()


class _Client:
    """One connection: its stream, the news it waits for, and who may write now."""

    __slots__ = ("_writing", "news", "running", "stream")

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.news = trio.Event()
        self.running = trio.Semaphore(REQUESTS_RUNNING_MAX)
        self._writing = trio.Lock()

    async def send(self, request_id: int, message: Message) -> None:
        data = encode_message(request_id, message)
        async with self._writing:
            await self.stream.send_all(data)
