"""A connection of the load: what the gateway closed is asked again, so many times and no more."""

import asyncio

import pytest

from node.load.connection import ATTEMPTS_MAX, Connection


@pytest.mark.parametrize("closed", [ATTEMPTS_MAX - 1, ATTEMPTS_MAX])
def test_a_body_is_sent_so_many_times_and_no_more(closed: int) -> None:
    async def go() -> tuple[bytes | None, int]:
        taken = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            taken += 1
            await reader.readuntil(b"body")
            if taken > closed:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            connection = Connection(server.sockets[0].getsockname()[1])
            try:
                return await connection.post(b"body"), taken
            except ConnectionResetError:
                return None, taken
            finally:
                connection.close()

    answer = b"ok" if closed < ATTEMPTS_MAX else None
    assert asyncio.run(go()) == (answer, ATTEMPTS_MAX)
