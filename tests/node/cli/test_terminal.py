"""The three lines, exit codes and streams that every command shares."""

import io
import json
import sys
from typing import Any

import pytest

from node.cli.coop import app
from node.cli.terminal import (
    QUIET,
    Exit,
    Failure,
    Terminal,
    failure_of_error,
    failure_of_rpc,
    render_failure,
    run_command,
)
from node.errors import OperationError
from node.rpc.failure import RpcFailure, error_object
from protocol.errors import Code, Rejected


def rpc_error(slug: str, language: str = "en", **params: Any) -> dict[str, Any]:
    failure = RpcFailure(slug, **params)
    return error_object(failure.entry, failure.params, language)


def test_three_lines_of_a_refusal_in_both_languages() -> None:
    english = failure_of_rpc(rpc_error("ledger.funds", limit="12.00 CNY", actual="15.00 CNY"), "en")
    assert render_failure(english, "en") == (
        "There is not enough money.\n"
        "  Why: The account can give 12.00 CNY, you asked for 15.00 CNY.\n"
        "  Do:  Use a smaller amount, or pay in first. See: coop me\n"
        "  E1210 ledger.funds   nothing was changed\n"
    )
    chinese = failure_of_rpc(rpc_error("ledger.funds", "zh", limit="12.00 元", actual="15.00 元"), "zh")
    assert render_failure(chinese, "zh") == (
        "余额不足。\n"
        "  原因：账户可用 12.00 元，您要 15.00 元。\n"
        "  办法：请减少金额或先存入。查看：coop me\n"
        "  E1210 ledger.funds   账目没有任何变动\n"
    )


def test_an_operators_message_has_a_number_and_no_word_about_money() -> None:
    failure = failure_of_error(
        OperationError("sign_state.missing", "It did not start.", "No record.", "restore it")
    )
    assert render_failure(failure, "en").splitlines()[-1] == "  E0107 sign_state.missing"


@pytest.mark.parametrize(
    ("slug", "code"),
    [
        ("ledger.funds", Exit.REFUSED),
        ("node.timeout", Exit.UNKNOWN),
        ("node.unreachable", Exit.UNKNOWN),
        ("node.not_ready", Exit.UNREACHABLE),
        ("tx.needs_signatures", Exit.MORE_SIGNATURES),
    ],
)
def test_exit_codes_tell_what_can_have_happened(slug: str, code: Exit) -> None:
    failure = failure_of_rpc(rpc_error(slug), "en")
    assert failure.code is code and failure.is_applied_unknown == (code is Exit.UNKNOWN)


def test_an_error_object_without_data_is_still_three_lines() -> None:
    assert render_failure(failure_of_rpc({"code": -32603, "message": "?"}, "en"), "en").count("\n") == 4


def run(command: Any, capsys: pytest.CaptureFixture[str], **flags: Any) -> tuple[int, str, str]:
    terminal = Terminal(**flags)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: terminal, lambda: command(terminal))
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out, out.err


def raise_(failure: BaseException) -> None:
    raise failure


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure("a", "b", "c", "cli.x", Exit.USAGE), 2),
        (OperationError("ipc.unreachable", "a", "b", "c"), 3),
        (OperationError("store.locked", "a", "b", "c"), 1),
        (Rejected(Code.BAD_PROOF, "the certificate"), 1),
        (ZeroDivisionError("a bug"), 1),
    ],
)
def test_every_family_of_refusals_ends_in_three_lines(
    failure: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, out, err = run(lambda terminal: raise_(failure), capsys)
    assert ended == code and out == "" and len(err.splitlines()) == 4 and "Traceback" not in err


def test_json_speaks_on_standard_output_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    ended, out, err = run(lambda terminal: raise_(Failure("a", "b", "c", "cli.x")), capsys, json=True)
    assert ended == 1 and err == "" and json.loads(out)["error"]["label"] == "cli.x" and out.count("\n") == 1
    ended, out, err = run(lambda terminal: terminal.show({"a": 1}, "text"), capsys, json=True)
    assert (ended, json.loads(out), err) == (0, {"a": 1}, "")


def test_notes_are_for_people_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for flags in ({"json": True}, {"quiet": True}):
        assert run(lambda terminal: terminal.note("waiting"), capsys, **flags) == (0, "", "")
    assert run(lambda terminal: terminal.note("waiting"), capsys) == (0, "", "waiting\n")


def test_nobody_signs_without_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run(lambda terminal: terminal.confirm("Sign?"), capsys)[0] == 1
    assert run(lambda terminal: terminal.confirm("Sign?"), capsys, yes=True)[0] == 0


def test_an_interrupt_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda terminal: raise_(KeyboardInterrupt()), capsys)[0] == 130


def test_a_bug_shows_its_traceback_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOPD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run_command(Terminal, lambda: raise_(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("typed", "english", "chinese"),
    [
        ("nope", 'Unknown command "nope". Available commands:', '没有命令 "nope"。现有命令：'),
        ("pay bo 1 --mem x", "Unknown option: --mem. Did you mean --memo?", "没有选项 --mem"),
        ("pay", 'Command "pay" parameter WHO requires an argument.', '命令 "pay" 缺少参数 WHO。'),
        ("pay bo 1 x", "Unused Tokens: ['x'].", "多出的参数：['x']。"),
        ("verify chain --accept-raft --accept-raft", "specified multiple times.", "出现了多次。"),
        ("vote show abc", 'unable to convert "abc" into int.', "PROPOSAL 的值无效"),
        ("loan schedule 1 --form pdf", 'value "pdf" for --form. Choose from:', '"pdf" 不是 --form 的'),
    ],
)
def test_what_cannot_be_read_as_a_command_is_said_as_every_refusal_is(
    typed: str, english: str, chinese: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal, what, why in (
        (Terminal(language="en"), "The command cannot be read.", english),
        (Terminal(language="zh"), "无法识别该命令。", chinese),
    ):
        with pytest.raises(SystemExit) as ended:
            run_command(lambda said=terminal: said, lambda: app.meta(typed.split(), **QUIET))  # type: ignore[misc]
        said = capsys.readouterr().err
        assert ended.value.code == Exit.USAGE and said.startswith(what) and why in said
        assert "--help" in said and said.rstrip().endswith("cli.usage") and "node/" not in said
