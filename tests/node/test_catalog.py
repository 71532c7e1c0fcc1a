"""The catalogue: whole, in two languages that say the same, and every entry in use."""

import ast
import re
import string
from pathlib import Path

import pytest

from node.catalog import (
    ENTRIES,
    OPERATION_NUMBERS,
    Entry,
    Outcome,
    by_code,
    by_number,
    by_slug,
    choose_language,
    fill,
    label_of,
)
from protocol.contracts import BUILTINS
from protocol.errors import USER_ASSERT_BASE, Code
from protocol.vm.contract import Contract

NOBODYS_CODE = 8_999
NODE = Path(__file__).parents[2] / "node"


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def lines(entry: Entry) -> list[tuple[str, str]]:
    return [(entry.en.what, entry.zh.what), (entry.en.why, entry.zh.why), (entry.en.fix, entry.zh.fix)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.slug)
def test_an_entry_is_whole_in_both_languages(entry: Entry) -> None:
    for english, chinese in lines(entry):
        assert english.strip() and chinese.strip()
        assert placeholders(english) == placeholders(chinese)
        assert english.isascii() and not chinese.isascii()
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", entry.slug)


def test_numbers_and_slugs_are_unique() -> None:
    assert len({entry.number for entry in ENTRIES}) == len({entry.slug for entry in ENTRIES}) == len(ENTRIES)


def test_every_kernel_code_has_a_message() -> None:
    for code in Code:
        if code is not Code.OK:
            assert by_code(code).slug != "contract.refused", code
    assert by_code(USER_ASSERT_BASE + 3).slug == "program.assertion"
    assert by_code(NOBODYS_CODE).slug == "contract.refused"
    assert by_code(104_806).slug == "contract.refused", "the code of a plugin is no assertion of a signer"


@pytest.mark.parametrize("contract", BUILTINS, ids=lambda contract: contract.name)
def test_every_code_of_a_contract_has_a_message_of_its_own(contract: Contract) -> None:
    expected = [f"{contract.name}.{error.name.lower()}" for error in contract.errors]
    assert [by_code(error.code).slug for error in contract.errors] == expected


def test_what_a_contract_refuses_names_rule_limit_and_value() -> None:
    params: dict[str, object] = {"rule": "assets.daily_limit", "limit": "5", "actual": "7"}
    english, chinese = (fill(by_code(1606), language, params) for language in ("en", "zh"))
    assert english.why == "Rule assets.daily_limit: the limit is 5, here it is 7."
    assert chinese.why == "规则 assets.daily_limit：限值 5，实际 7。"


def test_every_entry_is_raised_somewhere() -> None:
    codes = [int(code) for code in Code if code is not Code.OK]
    codes += [error.code for contract in BUILTINS for error in contract.errors]
    from_codes = {by_code(code).slug for code in (*codes, NOBODYS_CODE)}
    source = "".join(path.read_text() for path in NODE.rglob("*.py") if not path.name.startswith("catalog"))
    unused = [e.slug for e in ENTRIES if e.slug not in from_codes and f'"{e.slug}"' not in source]
    assert unused == []


def test_every_failure_of_our_machine_has_a_number() -> None:
    found = set()
    for path in NODE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not call.args or not isinstance(call.func, ast.Name):
                continue
            first = call.args[0]
            if call.func.id in ("OperationError", "StorageBroken", "BlockDamaged"):
                if isinstance(first, ast.Constant):
                    found.add(first.value)
            elif (
                call.func.id == "_refused"
                and path.parent.name == "wallet"
                and isinstance(first, ast.Constant)
            ):
                group = {"phrase": "phrase", "vault": "papers"}.get(path.stem, "key")
                found.add(f"{group}.{first.value}")
    assert found <= set(OPERATION_NUMBERS), found - set(OPERATION_NUMBERS)
    assert len(set(OPERATION_NUMBERS.values())) == len(OPERATION_NUMBERS)
    assert label_of("sign_state.missing") == "E0107 sign_state.missing"


def test_standard_numbers_are_those_of_json_rpc() -> None:
    standard = {-32700: "parse", -32600: "invalid_request", -32601: "no_method", -32602: "bad_params"}
    for number, name in standard.items():
        entry = by_number(number)
        assert entry is not None and entry.slug == f"rpc.{name}"


def test_a_missing_parameter_never_loses_the_message() -> None:
    entry = by_slug("ledger.funds")
    assert fill(entry, "en", {"limit": 5}).why == "The account can give 5, you asked for -."


def test_an_unknown_slug_is_an_internal_error() -> None:
    assert by_slug("no.such").number == -32603


def test_a_timeout_says_that_the_outcome_is_unknown() -> None:
    assert by_slug("node.timeout").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-CN,zh;q=0.9", "zh"),
        ("fr, zh;q=0.5, en;q=0.1", "zh"),
        ("EN-gb", "en"),
        ("de", "en"),
    ],
)
def test_the_language_follows_the_header(header: str | None, language: str) -> None:
    assert choose_language(header) == language


def test_a_rule_without_a_limit_names_none() -> None:
    entry = by_code(1608)
    only = fill(entry, "en", {"rule": "assets.second_cashier", "limit": "-", "actual": "till"})
    assert only.why == "Rule assets.second_cashier: here it is till."
    chinese = fill(entry, "zh", {"rule": "assets.second_cashier", "limit": None, "actual": None})
    assert chinese.why == "规则 assets.second_cashier。"
    both = fill(entry, "en", {"rule": "r", "limit": "0", "actual": "1"})
    assert both.why == "Rule r: the limit is 0, here it is 1."
