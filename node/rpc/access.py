"""Who may call the gateway: a pure decision from a request's head, taken before its body is read.

Rules:
    1. The Host must be a name of this gateway: a page that was made to resolve to this address is refused.
    2. An Origin, when there is one, must be listed or one of this gateway's own.
    3. A caller from this machine, not through a proxy, is trusted. Everybody else needs the token, unless the
       operator has opened the gateway: then they are anonymous, with smaller limits, or a member who shows
       a proof (`sign_in.py`; whether it holds is not judged here). What either may read is in `readers.py`.
    4. What changes anything is a POST of application/json; nothing has an effect by GET.

*Source*: reliability.md 3.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.config import is_loopback
from node.rpc.sign_in import SCHEME, Proof

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PROXY_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-real-ip")


class Trust(Enum):
    """How far a caller is trusted."""

    TRUSTED = "trusted"
    MEMBER = "member"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        proof: of a member, made for this gateway; its time and its key are looked at in each call.
    """

    trust: Trust
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Refuse a request: HTTP status, and one sentence for the caller."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class Door:
    """What the operator has set.

    Args:
        names: host names of the gateway, in lower case, without port.
        origins: further web origins that may call.
        token: None when there is none; then nobody from elsewhere is trusted.
        is_open: whether callers without a token may come from elsewhere.
    """

    names: frozenset[str]
    origins: frozenset[str]
    token: str | None
    is_open: bool = False


def judge(
    door: Door, headers: Mapping[str, str], client_host: str, *, needs_json: bool = False
) -> Trust | Denied:
    """Judge a request by its head.

    Args:
        headers: names in lower case.
        client_host: address of the other end of the connection.
        needs_json: whether it must be a body of application/json.
    """
    host = headers.get("host", "")
    if name_of(host) not in door.names:
        return Denied(403, "this gateway does not go by that host name")
    origin = headers.get("origin")
    if origin is not None and not _is_own_origin(origin, host, door):
        return Denied(403, "this origin may not call the gateway")
    if needs_json and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return Denied(415, "the content type must be application/json")
    given = headers.get("authorization")
    if given is not None:
        scheme, _, token = given.partition(" ")
        if scheme.lower() == SCHEME:
            # Also on the node's own machine: who signs in asks to be seen as that member.
            is_near = is_loopback(client_host) and not any(name in headers for name in _PROXY_HEADERS)
            is_let_in = door.is_open or is_near
            return Trust.MEMBER if is_let_in else Denied(401, "this gateway is not open to members")
        wanted = door.token
        if wanted and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), wanted.encode()):
            return Trust.TRUSTED
        return Denied(401, "the token is wrong")
    if is_loopback(client_host) and not any(name in headers for name in _PROXY_HEADERS):
        return Trust.TRUSTED
    return Trust.ANONYMOUS if door.is_open else Denied(401, "a token is needed from elsewhere")


def name_of(host: str) -> str:
    """Return a Host header without its port, in lower case; a name with a final dot is another name."""
    host = host.lower()
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        return name + bracket if port == "" or (port[:1] == ":" and port[1:].isdigit()) else ""
    name, _, port = host.partition(":")
    return name if port == "" or port.isdigit() else ""


def _is_own_origin(origin: str, host: str, door: Door) -> bool:
    if origin in door.origins:
        return True
    scheme, separator, rest = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and rest.lower() == host.lower()
