"""What a node reads from others in one piece: bytes at the limit are looked at, one more are not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli.member.receipts import BUNDLE_BYTES_MAX, load_bundle
from node.job_proof import PROOF_BYTES_MAX, decode_job_proof
from node.store.records import HEAD_BYTES_MAX, decode_head
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


def test_the_head_of_a_store_has_at_most_so_many_bytes() -> None:
    whole = codec.encode(bytes(HEAD_BYTES_MAX - 2))
    assert len(whole) == HEAD_BYTES_MAX
    assert refuse(lambda: decode_head(whole)) is Code.MALFORMED
    assert refuse(lambda: decode_head(whole + b"\0")) is Code.TOO_LARGE


def test_a_bundle_at_the_limit_is_read_from_its_file_and_a_longer_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(b" " * BUNDLE_BYTES_MAX)
    assert refuse(lambda: load_bundle(path)) is Code.MALFORMED
    path.write_bytes(b" " * (BUNDLE_BYTES_MAX + 1))
    assert refuse(lambda: load_bundle(path)) is Code.TOO_LARGE
