"""Logs: one JSON object a line or text, filtered by level, bytes as hex, counted."""

import io
import json
import logging

from node import log


def test_json_lines_carry_event_level_time_and_values() -> None:
    out = io.StringIO()
    log.set_up("info", "auto", out)
    before = log.messages["warning"]
    log.get_logger("store", node="n1").warning("disk_slow", took_ms=300, key=b"\x01\xff")
    log.get_logger("store").debug("not_shown")
    line = json.loads(out.getvalue())
    assert line["event"] == "disk_slow" and line["level"] == "warning" and line["area"] == "store"
    assert (line["node"], line["took_ms"], line["key"]) == ("n1", 300, "01ff") and "timestamp" in line
    assert log.messages["warning"] == before + 1


def test_text_is_for_people() -> None:
    out = io.StringIO()
    log.set_up("debug", "text", out)
    log.get_logger("net").debug("peer_connected", peer="n2")
    assert "peer_connected" in out.getvalue() and "{" not in out.getvalue()


def test_the_level_may_change_while_running() -> None:
    out = io.StringIO()
    log.set_up("error", "json", out)
    logger = log.get_logger("net")
    logger.info("hidden")
    log.set_up("info", "json", out)
    logger.info("shown")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["shown"]


def test_libraries_log_into_the_same_stream() -> None:
    out = io.StringIO()
    log.set_up("info", "json", out)
    logging.getLogger("node.net").warning("peer %s is down", "n2")
    logging.getLogger("node.net").debug("hidden")
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["event"], line["level"], line["area"]) == ("peer n2 is down", "warning", "node.net")
