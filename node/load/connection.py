"""One HTTP connection to a gateway, as cheap as can be, opened again when the other end closed it."""

import asyncio
from typing import Final

ATTEMPTS_MAX: Final = 3


class Connection:
    """Post bodies to the JSON-RPC of a gateway of this machine, one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> bytes:
        """Post a body and return the body of the answer.

        A gateway closes what was idle for long; the same body is sent again then, which pays once.

        Raises:
            OSError: the gateway is gone.
        """
        for attempt in range(ATTEMPTS_MAX):
            try:
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(
                    b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                return await _read_body(reader)
            except (OSError, asyncio.IncompleteReadError):
                self.close()
                if attempt == ATTEMPTS_MAX - 1:
                    raise ConnectionResetError("the gateway does not answer") from None
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP answer with a Content-Length, which our gateway always sends."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return await reader.readexactly(int(value))
    return b""
