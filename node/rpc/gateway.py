"""The gateway process: opens the store read-only, connects to the daemon, serves HTTP until it is stopped.

The composition root of `rpc/`. It may die and start again at any time without harm to the node.
"""

import asyncio
import os
import stat
import time
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from node.config import Config, is_loopback
from node.errors import OperationError
from node.ipc.client import DaemonClient
from node.log import get_logger, set_up
from node.plugin.loading import install_plugins
from node.rpc.access import LOCAL_NAMES, Door
from node.rpc.exposition import Exposition
from node.rpc.http_protocol import BoundedHttp
from node.rpc.methods.table import build_methods
from node.rpc.server import KEEP_ALIVE_SECONDS, Web
from node.rpc.service import News, Service, facts_of
from node.store.store import Store
from protocol.contracts import REGISTRY

STORE_WAIT_SECONDS: Final = 30
SOCKET_BYTES_MAX: Final = 1024 * 1024


def run_gateway(config: Config) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OperationError: gateway.no_token, store.*.
    """
    set_up(config.log_level, config.log_format)
    door = open_door(config)
    install_plugins(config.plugins)
    store = wait_for_store(config.store_path)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, door, store))
    finally:
        store.close()


def open_door(config: Config) -> Door:
    """Return who may call, from the settings and the token file.

    Raises:
        OperationError: gateway.no_token: it would be open to the network without one.
    """
    token = _read_token(config.token_path)
    if not is_loopback(config.gateway_host) and token is None:
        raise OperationError(
            "gateway.no_token",
            "The gateway did not start: it would be open to the network without a token.",
            f"gateway_host is {config.gateway_host}, and {config.token_path} is missing.",
            "make one with: coopd keys token, or set gateway_host to 127.0.0.1",
        )
    names = {name.lower() for name in config.gateway_names} | LOCAL_NAMES | {config.gateway_host.lower()}
    return Door(frozenset(names), frozenset(config.gateway_origins), token, config.gateway_open)


def wait_for_store(path: Path) -> Store:
    """Open the store read-only; a node that starts beside this process founds it first.

    Raises:
        OperationError: as `Store.open`, `store.missing` after 30 s.
    """
    deadline = time.monotonic() + STORE_WAIT_SECONDS
    while True:
        try:
            return Store.open(path, readonly=True)
        except OperationError as failure:
            if failure.slug != "store.missing" or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


async def _serve(config: Config, door: Door, store: Store) -> None:
    log = get_logger("gateway")
    news = News()
    daemon = DaemonClient(config.socket_path, lambda height: service.on_committed(height))
    service = Service(store, facts_of(store.genesis(), REGISTRY), daemon, news)

    def on_bug(method: str, bug: BaseException) -> None:
        log.error("method_failed", method=method, exc_info=bug)

    web = Web(service, build_methods(REGISTRY), door, Exposition(), on_bug)
    server = uvicorn.Server(configure_server(web.app(), config.gateway_host, config.gateway_port))
    link = asyncio.create_task(daemon.run())
    log.info("gateway_started", host=config.gateway_host, port=config.gateway_port, pid=os.getpid())
    try:
        await server.serve()
    finally:
        link.cancel()
    log.info("gateway_stopped")


def configure_server(app: Any, host: str, port: int, http: type[BoundedHttp] = BoundedHttp) -> uvicorn.Config:
    """Return how an application is served: with bounded heads, bodies of sockets and waits."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http,
        ws="websockets-sansio",
        ws_max_size=SOCKET_BYTES_MAX,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=2,
        backlog=512,
    )


def _read_token(path: Path) -> str | None:
    try:
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(1_024).strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as failure:
        raise OperationError(
            "gateway.no_token",
            "The gateway did not start: its token cannot be read.",
            f"{path}: {failure.strerror}.",
            f"check owner and mode of {path}",
        ) from failure
    if mode & 0o077:
        raise OperationError(
            "gateway.token_mode",
            "The gateway did not start: other people of this machine can read its token.",
            f"{path} has mode {mode:o}.",
            f"chmod 600 {path}, or make a new one: coopd keys token",
        )
    return token or None
