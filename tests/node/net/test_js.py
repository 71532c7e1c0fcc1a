"""Our host and js-libp2p: each dials the other, over `/noise` and `/yamux/1.0.0`.

Needs Node 20 or newer and the packages of `js/package.json`: `npm install` them there, or set
COOPD_JS_INTEROP=1 to have them installed into a temporary folder. Otherwise skipped.
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from node.net.connection import Pipe
from node.net.host import Host, format_peer_id, peer_id_from_secret
from node.net.transport import Address

SOURCE = Path(__file__).parent / "js"
ECHO = "/test/echo/1"
OURS, THEIRS = bytes([1]) * 32, bytes([2]) * 32
PATIENCE_S = 60


@pytest.fixture(scope="module")
def js_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    if (SOURCE / "node_modules").is_dir():
        return SOURCE
    if os.environ.get("COOPD_JS_INTEROP") != "1":
        pytest.skip(
            "the JavaScript packages are not installed; COOPD_JS_INTEROP=1 installs them for this run"
        )
    folder = tmp_path_factory.mktemp("js")
    for file in SOURCE.iterdir():
        shutil.copy(file, folder)
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True, timeout=300
    )
    return folder


class JsPeer:
    """A running `peer.mjs`; every line that it prints is one JSON value."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._lines = bytearray()

    async def next_line(self) -> Any:
        assert self._process.stdout is not None
        with trio.fail_after(PATIENCE_S):
            while b"\n" not in self._lines:
                part = await self._process.stdout.receive_some()
                assert part, "the js peer ended early"
                self._lines += part
        line, _, rest = bytes(self._lines).partition(b"\n")
        self._lines[:] = rest
        return json.loads(line)


@asynccontextmanager
async def running_js(folder: Path, *arguments: str) -> AsyncIterator[JsPeer]:
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                ["node", "peer.mjs", THEIRS.hex(), *arguments],
                cwd=folder,
                stdout=subprocess.PIPE,
            )
        )
        yield JsPeer(process)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_host() -> AsyncIterator[tuple[Host, Address]]:
    async def echo(pipe: Pipe) -> None:
        while data := await pipe.read(1 << 20):
            await pipe.write(data)

    host = Host(OURS, lambda peer: peer == peer_id_from_secret(THEIRS))
    host.handle(ECHO, echo)
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(host.run, (Address("127.0.0.1", 0),))
        yield host, address
        nursery.cancel_scope.cancel()


async def test_js_dials_us_and_two_megabytes_come_back(js_folder: Path) -> None:
    async with running_host() as (host, address):
        target = f"/ip4/{address.host}/tcp/{address.port}/p2p/{format_peer_id(host.me)}"
        async with running_js(js_folder, target) as peer:
            await peer.next_line()
            assert await peer.next_line() == {"echoed": 2_000_000, "same": True}


async def test_we_dial_js_and_two_megabytes_come_back(js_folder: Path) -> None:
    body = bytes(range(250)) * 8_000
    async with running_js(js_folder) as peer, running_host() as (host, _):
        port = (await peer.next_line())["port"]
        connection = await host.dial(peer_id_from_secret(THEIRS), Address("127.0.0.1", port))
        pipe = await host.open_stream(connection, ECHO)
        got = bytearray()
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pipe.write, body)
                while len(got) < len(body):
                    got += await pipe.read(1 << 20)
            pipe.close()
            assert await pipe.read(1) == b""
        assert got == body
