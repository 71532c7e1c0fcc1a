"""JSON-RPC over HTTP for the command line: one connection, the standard library, nothing else to load.

Answers are believed in form only: what they say about money is proved elsewhere (`member/receipts.py`).
"""

import http.client
import itertools
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from node.cli.terminal import Exit, Failure, failure_of_rpc

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
NOT_YOURS: Final = "rpc.not_yours"


class RpcClient:
    """Call the methods of one gateway.

    Args:
        url: such as http://127.0.0.1:9500; `/rpc` is added when no path is given.
        sign_in: gives a proof for the host that it is told; asked once, when the gateway shows rows to their
            member alone.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        language: str = "en",
        timeout: float = 35.0,
        sign_in: Callable[[str], str] | None = None,
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Failure(
                "The address of the node is not usable.",
                f"{url[:80]!r} is not http://host:port.",
                "give it as in: coop connect http://127.0.0.1:9500",
                "cli.bad_url",
                Exit.USAGE,
            )
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url = url
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._path = parts.path if parts.path not in ("", "/") else "/rpc"
        self._language = language
        # As the gateway reads it from the header Host: an IPv6 address stands in brackets.
        self._host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._sign_in = sign_in
        self._ids = itertools.count(1)
        self._headers = {"Content-Type": "application/json", "Accept-Language": language}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, **params: Any) -> Any:
        """Call a method and return its result.

        Raises:
            Failure: the node refused, did not answer, or answered with something else than JSON-RPC.
        """
        body = msgspec.json.encode(
            {"jsonrpc": "2.0", "method": method, "params": params, "id": next(self._ids)}
        )
        answer = self._post(body, sends="submit" in method)
        if self._sign_in is not None and _slug_of(answer) == NOT_YOURS:
            sign_in, self._sign_in = self._sign_in, None
            self._headers["Authorization"] = f"Member {sign_in(self._host)}"
            answer = self._post(body, sends="submit" in method)
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            raise failure_of_rpc(answer["error"], self._language)
        if not isinstance(answer, dict) or "result" not in answer:
            raise self._unusable("its answer is not JSON-RPC")
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _post(self, body: bytes, *, sends: bool) -> Any:
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            data = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as failure:
            self._connection.close()
            refused = isinstance(failure, ConnectionRefusedError | socket.gaierror)
            raise Failure(
                "The node does not answer.",
                f"{self.url}: {str(failure) or type(failure).__name__}.",
                "check that it runs (coopd status), or connect to another one: coop connect URL",
                "rpc.unreachable",
                Exit.UNKNOWN if sends and not refused else Exit.UNREACHABLE,
                is_applied_unknown=sends and not refused,
            ) from None
        if len(data) > ANSWER_BYTES_MAX:
            self._connection.close()  # what is left of the answer would stand before the next one
            raise self._unusable(f"its answer has more than {ANSWER_BYTES_MAX:,} bytes, the limit")
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            raise self._unusable(f"HTTP {response.status}, and no JSON") from None

    def _unusable(self, why: str) -> Failure:
        return Failure(
            "The node's answer cannot be used.",
            f"{self.url}: {why}.",
            "check the address: is a coopd gateway there?",
            "rpc.unusable",
            Exit.UNREACHABLE,
        )


def _slug_of(answer: Any) -> str | None:
    """Return the slug of a refusal, None for every other answer."""
    match answer:
        case {"error": {"data": {"slug": str(slug)}}}:
            return slug
    return None
