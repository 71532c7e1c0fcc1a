"""What a node reads from others in one piece: bytes at the limit are looked at, one more are not."""

from collections.abc import Callable

import pytest

from node.job_proof import PROOF_BYTES_MAX, decode_job_proof
from node.wire import (
    BATCH_BYTES_MAX,
    BITMAP_BYTES_MAX,
    DIGEST_BYTES,
    GET_TXS_BYTES_MAX,
    OUTLINE_BYTES_MAX,
    STARVE_BYTES_MAX,
    GetTxs,
    decode_batch,
    decode_get_txs,
    decode_outline,
    decode_starve,
    encode_get_txs,
)
from protocol import codec
from protocol.errors import Code
from protocol.params import BLOCK_TXS_MAX
from protocol.types import BlockId
from tests.protocol.chain.test_limits import refuse


@pytest.mark.parametrize(
    ("limit_bytes", "decode"),
    [
        (BATCH_BYTES_MAX, decode_batch),
        (OUTLINE_BYTES_MAX, decode_outline),
        (GET_TXS_BYTES_MAX, decode_get_txs),
        (STARVE_BYTES_MAX, decode_starve),
        (PROOF_BYTES_MAX, decode_job_proof),
    ],
)
def test_bytes_at_the_limit_are_looked_at_and_one_more_are_not(
    limit_bytes: int, decode: Callable[[bytes], object]
) -> None:
    data = codec.encode(bytes(limit_bytes - (5 if limit_bytes > 1 << 16 else 3)))
    assert len(data) == limit_bytes
    assert refuse(lambda: decode(data)) is Code.MALFORMED
    assert refuse(lambda: decode(data + b"\0")) is Code.TOO_LARGE


def test_a_question_names_as_many_transactions_as_a_block_has() -> None:
    assert BITMAP_BYTES_MAX * 8 == BLOCK_TXS_MAX
    ask = GetTxs(BlockId(bytes(DIGEST_BYTES)), (1 << BLOCK_TXS_MAX) - 1)
    longer = codec.encode((bytes(DIGEST_BYTES), b"\xff" * (BITMAP_BYTES_MAX + 1)))
    assert decode_get_txs(codec.encode((ask.block_id, b"\xff" * BITMAP_BYTES_MAX))) == ask
    assert encode_get_txs(ask).endswith(b"\xff" * BITMAP_BYTES_MAX)
    assert refuse(lambda: decode_get_txs(longer)) is Code.MALFORMED
