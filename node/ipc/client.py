"""The gateway's side of the socket (asyncio): asks the daemon, hears of commits, reconnects by itself.

Submissions that arrive within one turn of the loop travel as one request, because the daemon checks
signatures in batches.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from node.ipc.frames import FrameReader
from node.ipc.messages import (
    SUBMIT_TXS_MAX,
    Answer,
    Committed,
    Refused,
    Request,
    Submit,
    Submitted,
    Verdict,
    decode_message,
    encode_message,
)
from protocol.errors import Rejected
from protocol.types import Height

ANSWER_TIMEOUT_SECONDS: Final = 10
RECONNECT_SECONDS: Final = 0.1
_READ_BYTES: Final = 256 * 1024


class DaemonUnreachable(Exception):
    """The daemon does not run, or did not answer; whether a submission arrived is unknown when `sent`."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


class DaemonClient:
    """Keep one connection to the daemon.

    Args:
        on_committed: called with each announced height.
    """

    def __init__(self, path: Path, on_committed: Callable[[Height], None]) -> None:
        self._path = path
        self._on_committed = on_committed
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.cycle(range(1, 1 << 32))
        self._batch: list[tuple[bytes, asyncio.Future[Verdict]]] = []
        self._flushes: set[asyncio.Task[None]] = set()

    @property
    def is_connected(self) -> bool:
        """Tell whether the daemon can be asked now."""
        return self._writer is not None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            with suppress(OSError, Rejected):
                reader, writer = await asyncio.open_unix_connection(self._path)
                self._writer = writer
                try:
                    await self._read(reader)
                finally:
                    self._writer = None
                    writer.close()
                    self._fail_all()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def ask(self, request: Request) -> Answer:
        """Ask and wait for the answer.

        Raises:
            DaemonUnreachable: there is no connection, it broke, or no answer came in time.
            Rejected: the daemon refused.
        """
        if self._writer is None:
            raise DaemonUnreachable("no connection", sent=False)
        request_id = next(self._ids)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = waiting
        try:
            self._writer.write(encode_message(request_id, request))
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                await self._writer.drain()
                answer = await waiting
        except (TimeoutError, OSError) as failure:
            raise DaemonUnreachable(str(failure) or "no answer in time", sent=True) from failure
        finally:
            self._waiting.pop(request_id, None)
        if isinstance(answer, Refused):
            raise Rejected(answer.code, answer.detail)
        return answer

    async def submit(self, raw: bytes) -> Verdict:
        """Submit one transaction, together with those that others submit at this moment.

        Raises:
            DaemonUnreachable: see `sent`.
        """
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._batch.append((raw, verdict))
        if len(self._batch) == 1:
            task = asyncio.create_task(self._flush())
            self._flushes.add(task)
            task.add_done_callback(self._flushes.discard)
        return await verdict

    async def submit_many(self, raws: tuple[bytes, ...]) -> tuple[Verdict, ...]:
        """Submit transactions in this order.

        Raises:
            DaemonUnreachable: see `sent`.
        """
        answer = await self.ask(Submit(raws))
        assert isinstance(answer, Submitted)
        return answer.verdicts

    async def _flush(self) -> None:
        batch, self._batch = self._batch, []
        for start in range(0, len(batch), SUBMIT_TXS_MAX):
            part = batch[start : start + SUBMIT_TXS_MAX]
            try:
                verdicts = await self.submit_many(tuple(raw for raw, _ in part))
            except (DaemonUnreachable, Rejected) as failure:
                for _, future in part:
                    if not future.done():
                        future.set_exception(failure)
                continue
            for (_, future), verdict in zip(part, verdicts, strict=True):
                if not future.done():
                    future.set_result(verdict)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = FrameReader()
        while data := await reader.read(_READ_BYTES):
            for data_of_frame in frames.feed(data):
                request_id, message = decode_message(data_of_frame)
                if isinstance(message, Committed):
                    self._on_committed(message.height)
                elif isinstance(message, Answer):
                    waiting = self._waiting.get(request_id)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(message)

    def _fail_all(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection broke"))
