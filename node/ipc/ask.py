"""One blocking question to the daemon, for the command line and tests."""

import socket
from pathlib import Path

from node.errors import OperationError
from node.ipc.frames import FrameReader
from node.ipc.messages import Answer, Committed, Refused, Request, decode_message, encode_message
from protocol.errors import Rejected

_READ_BYTES = 64 * 1024


def ask(path: Path, request: Request, timeout_seconds: float = 5) -> Answer:
    """Connect, ask, wait for the answer.

    Raises:
        OperationError: ipc.unreachable.
        Rejected: the daemon refused.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_seconds)
            sock.connect(str(path))
            sock.sendall(encode_message(1, request))
            frames = FrameReader()
            while data := sock.recv(_READ_BYTES):
                for data_of_frame in frames.feed(data):
                    request_id, message = decode_message(data_of_frame)
                    if isinstance(message, Committed) or request_id != 1:
                        continue
                    if isinstance(message, Refused):
                        raise Rejected(message.code, message.detail)
                    assert isinstance(message, Answer)
                    return message
        raise ConnectionResetError("it closed the connection")
    except OSError as failure:
        raise OperationError(
            "ipc.unreachable",
            "The node does not answer.",
            f"{path}: {failure}.",
            "start it with: coopd run, or name its data folder with --home",
        ) from failure
