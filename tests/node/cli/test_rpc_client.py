"""The client of the command line: an answer at the limit is read, a longer one ends nothing but itself."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from node.cli import rpc_client
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure

EMPTY = b'{"result":""}'


class Padded(BaseHTTPRequestHandler):
    """Answers with a text so long as the method asks."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        size = int(asked.partition(b'"size":')[2].partition(b"}")[0])
        body = b'{"result":"' + b"x" * (size - len(EMPTY)) + b'"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def client() -> Iterator[RpcClient]:
    server = HTTPServer(("127.0.0.1", 0), Padded)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = RpcClient(f"http://127.0.0.1:{server.server_port}")
    yield client
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_at_the_limit_is_read_and_a_longer_one_is_said(
    client: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_client, "ANSWER_BYTES_MAX", 100_000)
    whole = client.call("any", size=rpc_client.ANSWER_BYTES_MAX)
    assert len(whole) == 100_000 - len(EMPTY)
    for more in (1, 1_000):
        with pytest.raises(Failure) as refused:
            client.call("any", size=rpc_client.ANSWER_BYTES_MAX + more)
        assert refused.value.label == "rpc.unusable" and "100,000 bytes" in refused.value.why
    assert client.call("any", size=len(EMPTY)) == "", "the next answer is not the rest of this one"
