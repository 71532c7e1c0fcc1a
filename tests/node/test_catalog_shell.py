"""Every sentence that the shell raises has its Chinese, all of it, and no line stands there twice."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.catalog import by_slug, fill
from node.catalog_shell import SENTENCES, say_in_chinese
from node.cli.terminal import Failure, Terminal, render_failure

NODE = Path(__file__).parents[2] / "node"
RAISERS = {"OperationError", "Failure"}
HAN = re.compile(r"[\u4e00-\u9fff]")
VALUE = "7"
COMMAND = re.compile(r"coopd? [^，；。]*")
ENGLISH = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}")


def text_of(value: ast.expr) -> str | None:
    """Return a sentence as it reads with a number for each value; none when the code does not spell it."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else VALUE for part in parts)
    return None


def helpers_of(tree: ast.Module) -> set[str]:
    """Return the functions of a module that make an error of what they are told."""
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and isinstance(node.returns, ast.Name)
        and node.returns.id in RAISERS
    }


def raised() -> Iterator[tuple[str, str]]:
    """Find every sentence in the arguments of an error, or of a helper that makes one."""
    for path in sorted(NODE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        makers = RAISERS | helpers_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                for argument in node.args if name in makers else ():
                    for part in (
                        (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else [argument]
                    ):
                        text = text_of(part)
                        if text is not None and is_sentence(text):
                            yield f"{path.relative_to(NODE)}:{node.lineno}", text


def is_sentence(text: str) -> bool:
    """Tell words from slugs, labels, commands alone and values alone."""
    return bool(re.search("[a-z]{2}", text)) and not re.fullmatch(r"(E7 |E\d{4} )?[a-z_]+(\.[a-z_7]+)?", text)


def is_chinese(text: str) -> bool:
    """Tell whether a sentence was said in Chinese, and not just its joints; commands stay as they are."""
    return HAN.search(text) is not None and ENGLISH.search(COMMAND.sub("", text)) is None


def test_every_sentence_that_is_raised_has_its_chinese() -> None:
    missing = [(where, text) for where, text in raised() if not is_chinese(say_in_chinese(text))]
    assert missing == [], "add them to node/catalog_shell.py, or catalog_cli.py"


def test_both_languages_hold_the_same_values_and_no_sentence_is_twice() -> None:
    for english, chinese in SENTENCES:
        assert english.isascii() and (HAN.search(chinese) or english.count("{}") > 0)
        assert english.count("{}") == len(re.findall(r"\{\d*\}", chinese)), english
    assert len({english for english, _ in SENTENCES}) == len(SENTENCES)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("There is nobody called bob here.", "这里没有叫 bob 的人。"),
        ("the closest: bo, bos.", "相近的有：bo, bos。"),
        ("3 of 5 keys decide; 2 are in /keys.", "5 个密钥中须 3 个；/keys 中有 2 个。"),
        ("it has signed something else there: signing could prove that this operator cheats.",
         "它在该处已签署别的内容：签名会证明此运营者作弊。"),
        ("/keys holds: none.", "/keys 中有：无。"),
        ("Nobody wrote this sentence down", "Nobody wrote this sentence down"),
    ],
)  # fmt: skip
def test_values_stand_where_chinese_wants_them(english: str, chinese: str) -> None:
    assert say_in_chinese(english) == chinese


def test_a_failure_is_shown_in_the_language_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure("No key was saved.", "the two passphrases differ.", "try again", "key.passphrase")
    assert render_failure(failure, "zh") == (
        "没有保存密钥。\n  原因：两次口令不同。\n  办法：请重试\n  key.passphrase\n"
    )
    assert "No key was saved." in render_failure(failure, "en")
    Terminal(json=True, language="zh").fail(failure)
    assert '"why":"两次口令不同。"' in capsys.readouterr().out


def test_the_detail_of_a_refusal_is_not_english_inside_chinese() -> None:
    text = fill(by_slug("auth.role"), "zh", {"detail": "rule treasury.approver"})
    assert text.why == "签名人没有所需的职责或权限：规则 treasury.approver。"
