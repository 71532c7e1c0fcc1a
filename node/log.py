"""Logs: one event a line, JSON for machines or text for a terminal, never both on one stream.

An event is a stable name in past tense with values beside it, so that it can be searched and counted; secrets
are never given to it. Everything goes to standard error. It does not know who logs what.
"""

import logging
import sys
from collections import Counter
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_setup: Final[dict[str, Any]] = {"level": "info", "form": "auto", "stream": None}
"""What `set_up` was last told."""

messages: Final[Counter[str]] = Counter()
"""Messages so far by level, for `coopd_log_messages_total`."""


def get_logger(area: str, **values: Any) -> FilteringBoundLogger:
    """Return the logger of a part of the program, such as `consensus`; the values stand in all its lines."""
    return cast(FilteringBoundLogger, structlog.get_logger(area=area, **values))


def set_up(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Choose level and form for the whole process; may be called again.

    Args:
        level: debug, info, warning or error.
        form: json, text, or auto: text on a terminal, JSON elsewhere.
        stream: standard error when None.
    """
    _setup.update(level=level, form=form, stream=stream)
    out = sys.stderr if stream is None else stream
    is_text = form == "text" or (form == "auto" and out.isatty())
    shared: list[Any] = [
        _count,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if is_text:
        shared.append(structlog.dev.ConsoleRenderer(colors=out.isatty()))
    else:
        shared += [
            structlog.processors.format_exc_info,
            _hex_bytes,
            structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
        ]
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers = [_Bridge()]
    logging.root.setLevel(LEVELS[level])


def set_level(level: str) -> None:
    """Choose another level while running; form and stream stay.

    Raises:
        KeyError: no such level.
    """
    set_up(level, _setup["form"], _setup["stream"])


class _Bridge(logging.Handler):
    """Lead what libraries log into the same stream, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        method = "warning" if record.levelno >= logging.WARNING else "info"
        if record.levelno >= logging.ERROR:
            method = "error"
        elif record.levelno < logging.INFO:
            method = "debug"
        getattr(structlog.get_logger(area=record.name), method)(text)


def _count(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    messages[method] += 1
    return event


def _hex_bytes(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, bytes):
            event[name] = value.hex()
    return event
