"""Ids of transactions as people type them: one of two forms, else it is said which they are."""

import pytest

from node.rpc.failure import RpcFailure
from node.rpc.methods.tx import read_id
from protocol.addresses import format_tx_id
from protocol.types import TxId


def test_both_forms_are_read() -> None:
    tx_id = TxId(bytes(range(32)))
    for text in (format_tx_id(tx_id), "0x" + tx_id.hex(), "0X" + tx_id.hex().upper()):
        assert read_id(text) == tx_id


@pytest.mark.parametrize(
    "text", ["", "7", "0x", "0x" + "00" * 31, "0x" + "00" * 33, "00" * 33, "0x" + "g" * 64]
)
def test_anything_else_is_no_id(text: str) -> None:
    with pytest.raises(RpcFailure, match="an id is") as refused:
        read_id(text)
    assert refused.value.entry.slug == "rpc.bad_params"
