"""What every command shares: exit codes, three-line messages, JSON or text, asking before signing.

Results go to standard output, progress and warnings to standard error; colours only on a terminal, and never
with NO_COLOR. It knows no command.
"""

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from node.catalog import Outcome, by_code, by_slug, fill, label_of
from node.catalog_shell import say_in_chinese
from node.errors import OperationError
from protocol.errors import Rejected

if TYPE_CHECKING:
    from cyclopts import CycloptsError

QUIET: Final[dict[str, Any]] = {
    "exit_on_error": False, "print_error": False, "result_action": "return_value"
}  # fmt: skip
"""How a command line is read: what is wrong with it is said by `run_command`, as everything is."""


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNKNOWN = 4
    MORE_SIGNATURES = 5


DEBUG: Final = "COOPD_DEBUG"
"""With this in the environment, a fault of the program shows its traceback."""

UNREACHABLE_SLUGS: Final = frozenset({"rpc.unreachable", "ipc.unreachable", "node.not_ready"})


class Failure(Exception):
    """End a command with three lines and an exit code.

    Args:
        label: number and slug, as the last line shows them.
        is_applied_unknown: whether money can have moved.
    """

    def __init__(
        self,
        what: str,
        why: str,
        do: str,
        label: str,
        code: Exit = Exit.REFUSED,
        *,
        is_applied_unknown: bool = False,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do
        self.label = label
        self.code = code
        self.is_applied_unknown = is_applied_unknown


class Terminal:
    """The terminal of one command: what was asked for by flags that every command has."""

    def __init__(
        self, *, json: bool = False, quiet: bool = False, yes: bool = False, language: str = "en"
    ) -> None:
        self.json = json
        self.quiet = quiet
        self.yes = yes
        self.language = language

    def show(self, value: Any, text: str | Callable[[], str]) -> None:
        """Print a result: the value as one line of JSON, or the text for people."""
        if self.json:
            sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
        else:
            sys.stdout.write((text if isinstance(text, str) else text()).rstrip("\n") + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print progress or a warning, for people only."""
        if not self.quiet and not self.json:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def confirm(self, question: str) -> None:
        """Ask before something is signed.

        Raises:
            Failure: the answer is no, or nobody is there to ask.
        """
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Failure(
                "Nothing was signed.",
                "nobody is there to answer: standard input is not a terminal.",
                "add --yes when a script may sign",
                "cli.not_confirmed",
            )
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes", "是"):
            raise Failure(
                "Nothing was signed.", "you answered no.", "run it again to sign", "cli.not_confirmed"
            )

    def secret(self, prompt: str) -> str:
        """Read a secret from the terminal without showing it; never from arguments."""
        import getpass

        return getpass.getpass(prompt)

    def fail(self, failure: Failure) -> int:
        """Print a failure in the language of the terminal; return the exit code."""
        if self.json:
            what, why, do = in_language(failure, self.language)
            value = {
                "error": {
                    "label": failure.label,
                    "what": what,
                    "why": why,
                    "do": do,
                    "outcome": "unknown" if failure.is_applied_unknown else "not_applied",
                }
            }
            sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
            sys.stdout.flush()
        else:
            sys.stderr.write(render_failure(failure, self.language, is_coloured=_is_coloured(sys.stderr)))
            sys.stderr.flush()
        return int(failure.code)


def in_language(failure: Failure, language: str) -> tuple[str, str, str]:
    """Return the three lines in a language, `zh` or any other for English."""
    lines = failure.what, failure.why, failure.do
    if language != "zh":
        return lines
    what, why, do = map(say_in_chinese, lines)
    return what, why, do


def render_failure(failure: Failure, language: str, *, is_coloured: bool = False) -> str:
    """Write a failure as three lines and a label."""
    # Only where money could have moved is it said whether it did.
    is_local = not failure.is_applied_unknown and not failure.label.startswith(("E1", "E-"))
    why, do = ("  原因：", "  办法：") if language == "zh" else ("  Why: ", "  Do:  ")
    if failure.is_applied_unknown:
        outcome = "结果未知" if language == "zh" else "the outcome is unknown"
    else:
        outcome = "账目没有任何变动" if language == "zh" else "nothing was changed"
    bold, plain = ("\x1b[1m", "\x1b[0m") if is_coloured else ("", "")
    last = failure.label if is_local else f"{failure.label}   {outcome}"
    said, reason, cure = in_language(failure, language)
    return f"{bold}{said}{plain}\n{why}{reason}\n{do}{cure}\n  {last}\n"


def failure_of_error(error: OperationError) -> Failure:
    """Return the failure for something that our machine could not do."""
    code = Exit.UNREACHABLE if error.slug in UNREACHABLE_SLUGS else Exit.REFUSED
    return Failure(error.what, error.why, error.do, label_of(error.slug), code)


def failure_of_rejection(rejected: Rejected, language: str) -> Failure:
    """Return the failure for data that was refused on this side."""
    entry = by_code(rejected.code)
    text = fill(entry, language, {"detail": rejected.detail})
    return Failure(text.what, text.why, text.fix, f"E{entry.number} {entry.slug}")


def failure_of_rpc(error: dict[str, Any], language: str) -> Failure:
    """Return the failure for an error object of JSON-RPC."""
    data = error.get("data") or {}
    slug = str(data.get("slug", "rpc.internal"))
    code = Exit.REFUSED
    is_unknown = data.get("outcome") == Outcome.UNKNOWN.value
    if is_unknown:
        code = Exit.UNKNOWN
    elif slug in UNREACHABLE_SLUGS:
        code = Exit.UNREACHABLE
    elif slug == "tx.needs_signatures":
        code = Exit.MORE_SIGNATURES
    entry = by_slug(slug)
    text = fill(entry, language, dict(data.get("params") or {}))
    return Failure(
        str(error.get("message") or text.what),
        str(data.get("why") or text.why),
        str(data.get("fix") or text.fix),
        f"E{error.get('code', entry.number)} {slug}",
        code,
        is_applied_unknown=is_unknown,
    )


def run_command(terminal: Callable[[], Terminal], command: Callable[[], Any]) -> NoReturn:
    """Run a command and end the process with its exit code; every refusal becomes three lines."""
    from cyclopts import CycloptsError

    try:
        result = command()
    except CycloptsError as error:
        sys.exit(terminal().fail(_failure_of_typing(error)))
    except Failure as failure:
        sys.exit(terminal().fail(failure))
    except OperationError as error:
        sys.exit(terminal().fail(failure_of_error(error)))
    except Rejected as rejected:
        sys.exit(terminal().fail(failure_of_rejection(rejected, terminal().language)))
    except BrokenPipeError:
        # Whoever read us has gone; say nothing more, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(130)
    except Exception as bug:
        if os.environ.get(DEBUG):
            raise
        sys.exit(terminal().fail(_failure_of_bug(bug)))
    sys.exit(result if isinstance(result, int) else Exit.OK)


def _failure_of_typing(error: "CycloptsError") -> Failure:
    """Say which word was no command, option or value."""
    error.verbose = False  # Else it names functions of ours.
    words = (Path(sys.argv[0]).name, *(error.command_chain or ()))
    return Failure(
        "The command cannot be read.", str(error), f"see: {' '.join(words)} --help", "cli.usage", Exit.USAGE
    )


def _failure_of_bug(bug: Exception) -> Failure:
    return Failure(
        "The program met a fault of its own.",
        f"{type(bug).__name__}: {str(bug)[:300]}.",
        f"run the same again with {DEBUG}=1 in the environment and report what it prints",
        "cli.bug",
        is_applied_unknown=True,
    )


def default_language() -> str:
    """Return `zh` for a Chinese locale, else `en`."""
    for name in ("COOP_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def _is_coloured(stream: Any) -> bool:
    return "NO_COLOR" not in os.environ and bool(stream.isatty())
