"""The reference pages are what the schemas say, and the schemas are complete enough to make pages from."""

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from protocol.contracts import BUILTINS
from protocol.vm.contract import Contract
from protocol.vm.kinds import Field

ROOT = Path(__file__).parents[3]


def test_pages_are_current() -> None:
    loader = SourceFileLoader("contract_docs", str(ROOT / "scripts" / "contract_docs"))
    spec = importlib.util.spec_from_loader("contract_docs", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    for path, text in script.render_pages().items():
        assert path.read_text() == text, f"{path.name} is out of date: run scripts/contract_docs"


@pytest.mark.parametrize("contract", BUILTINS, ids=lambda c: str(c.name))
def test_schema_is_complete(contract: Contract) -> None:
    assert contract.doc.endswith(".")
    docs = [m.doc for m in contract.methods] + [q.doc for q in contract.queries]
    docs += [e.doc for e in contract.events] + [e.doc for e in contract.errors]
    docs += [t.doc for t in contract.tables]
    assert all(doc.endswith(".") for doc in docs)
    for ids in ([m.id for m in contract.methods], [e.id for e in contract.events]):
        assert ids == sorted(set(ids))
    assert all(error.code // 100 == contract.id for error in contract.errors)
    numbers = [t.number for t in contract.tables] + [i.number for t in contract.tables for i in t.indexes]
    assert len(numbers) == len(set(numbers))


def every_field(contract: Contract) -> list[Field]:
    fields: list[Field] = []
    for method in contract.methods:
        fields += method.arguments
    for query in contract.queries:
        fields += query.arguments
    return fields


@pytest.mark.parametrize("contract", BUILTINS, ids=lambda c: str(c.name))
def test_names_are_plain(contract: Contract) -> None:
    for field in every_field(contract):
        assert field.name.isidentifier(), field.name
