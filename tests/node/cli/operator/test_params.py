"""Parameters as an operator reads them, from what the gateway of a chain answers."""

from typing import Any

import pytest

from node.cli.operator.params import find_row, format_row
from node.cli.terminal import Failure
from protocol.contracts.parameters import PARAMETERS, RAFT_RETURN
from protocol.contracts.registry import records as registry
from tests.node.rpc.conftest import spare_gateway  # noqa: F401


def test_every_parameter_is_shown_with_bounds_and_what_is_decided(spare_gateway: Any) -> None:  # noqa: F811
    gateway, chain = spare_gateway, spare_gateway.chain
    rows = gateway.call("registry_parameters")["value"]
    assert [row["name"] for row in rows] == [parameter.name for parameter in PARAMETERS]
    assert "fixed since the founding" in format_row(find_row(rows, RAFT_RETURN.name))
    decided = chain.commit(chain.sign_as_board((registry.ID, 6, 0, ("ready_blocks", 500, 0))))
    row = find_row(gateway.call("registry_parameters")["value"], "ready_blocks")
    assert format_row(row).split()[1:4] == ["1000", "blocks", "100"]
    assert format_row(row).endswith(f"500 from block {decided.height + 3}")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(Failure) as refused:
        find_row([{"name": "block_gas"}], "speed")
    assert refused.value.label == "registry.no_parameter" and "block_gas" in refused.value.why
