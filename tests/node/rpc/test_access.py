"""Who may call: the table of Host, Origin, type, token and way in."""

import pytest

from node.rpc.access import LOCAL_NAMES, Denied, Door, Trust, judge

TOKEN = "s3cret-token"
CLOSED = Door(LOCAL_NAMES | {"coop.example"}, frozenset({"https://app.example"}), TOKEN)
OPEN = Door(CLOSED.names, CLOSED.origins, TOKEN, is_open=True)
NO_TOKEN = Door(CLOSED.names, CLOSED.origins, None)
JSON = {"content-type": "application/json"}
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"

TABLE = [
    # door, headers beside JSON, client, verdict
    (CLOSED, {"host": "localhost:9500"}, HERE, Trust.TRUSTED),
    (CLOSED, {"host": "127.0.0.1"}, HERE, Trust.TRUSTED),
    (CLOSED, {"host": "[::1]:9500"}, "::1", Trust.TRUSTED),
    (CLOSED, {"host": "LOCALHOST:1"}, HERE, Trust.TRUSTED),
    (CLOSED, {"host": "evil.example"}, HERE, 403),  # DNS rebinding
    (CLOSED, {"host": "localhost.evil.example"}, HERE, 403),
    (CLOSED, {"host": "localhost."}, HERE, 403),
    (CLOSED, {"host": ""}, HERE, 403),
    (CLOSED, {}, HERE, 403),
    (CLOSED, {"host": "localhost:99x"}, HERE, 403),
    (CLOSED, {"host": "[::1"}, HERE, 403),
    (CLOSED, {"host": "localhost", "origin": "http://evil.example"}, HERE, 403),
    (CLOSED, {"host": "localhost", "origin": "null"}, HERE, 403),
    (CLOSED, {"host": "localhost:9500", "origin": "http://localhost:9500"}, HERE, Trust.TRUSTED),
    (CLOSED, {"host": "localhost:9500", "origin": "http://localhost:9501"}, HERE, 403),
    (CLOSED, {"host": "localhost", "origin": "https://app.example"}, HERE, Trust.TRUSTED),
    (CLOSED, {"host": "localhost", "origin": "file://localhost"}, HERE, 403),
    (CLOSED, {"host": "localhost", "content-type": "text/plain"}, HERE, 415),
    (CLOSED, {"host": "localhost", "content-type": ""}, HERE, 415),
    (CLOSED, {"host": "localhost", "content-type": "Application/JSON; charset=utf-8"}, HERE, Trust.TRUSTED),
    (CLOSED, {"host": "coop.example"}, ELSEWHERE, 401),
    (CLOSED, {"host": "coop.example", "authorization": f"Bearer {TOKEN}"}, ELSEWHERE, Trust.TRUSTED),
    (CLOSED, {"host": "coop.example", "authorization": f"bearer {TOKEN}"}, ELSEWHERE, Trust.TRUSTED),
    (CLOSED, {"host": "coop.example", "authorization": f"Bearer {TOKEN[:-1]}"}, ELSEWHERE, 401),
    (CLOSED, {"host": "coop.example", "authorization": "Bearer "}, ELSEWHERE, 401),
    (CLOSED, {"host": "coop.example", "authorization": f"Basic {TOKEN}"}, ELSEWHERE, 401),
    (CLOSED, {"host": "localhost", "authorization": "Bearer wrong"}, HERE, 401),
    (CLOSED, {"host": "coop.example", "x-forwarded-for": ELSEWHERE}, HERE, 401),  # through a proxy
    (CLOSED, {"host": "coop.example", "forwarded": "for=192.0.2.7"}, HERE, 401),
    (OPEN, {"host": "coop.example"}, ELSEWHERE, Trust.ANONYMOUS),
    (OPEN, {"host": "coop.example", "x-forwarded-for": ELSEWHERE}, HERE, Trust.ANONYMOUS),
    (OPEN, {"host": "coop.example", "authorization": "Bearer x"}, ELSEWHERE, 401),
    (OPEN, {"host": "coop.example", "authorization": "Member x"}, ELSEWHERE, Trust.MEMBER),
    (OPEN, {"host": "evil.example", "authorization": "Member x"}, ELSEWHERE, 403),
    (CLOSED, {"host": "coop.example", "authorization": "Member x"}, ELSEWHERE, 401),
    (CLOSED, {"host": "localhost", "authorization": "member x"}, HERE, Trust.MEMBER),
    (CLOSED, {"host": "localhost", "authorization": "Member x", "x-real-ip": ELSEWHERE}, HERE, 401),
    (NO_TOKEN, {"host": "coop.example", "authorization": "Bearer "}, ELSEWHERE, 401),
    (CLOSED, {"host": "localhost"}, "", 401),
]


@pytest.mark.parametrize(("door", "headers", "client", "verdict"), TABLE)
def test_the_table(door: Door, headers: dict[str, str], client: str, verdict: Trust | int) -> None:
    found = judge(door, {**JSON, **headers}, client, needs_json=True)
    assert (found.status if isinstance(found, Denied) else found) == verdict


def test_only_bodies_need_a_type() -> None:
    assert judge(CLOSED, {"host": "localhost"}, HERE) is Trust.TRUSTED
