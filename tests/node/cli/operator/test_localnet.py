"""How a person says until when the clocks of a local cluster shall go on."""

import pytest

from node.cli.operator.localnet import format_time, read_time_ms
from node.cli.terminal import Exit, Failure

NOW_MS = 1_767_225_600_000  # 2026-01-01 08:00 in a co-op eight hours east
EAST = 8 * 3_600


@pytest.mark.parametrize(
    ("text", "later_seconds"),
    [("90s", 90), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600), ("0d", 0)],
)
def test_a_span_of_time_counts_from_now(text: str, later_seconds: int) -> None:
    assert read_time_ms(text, NOW_MS, EAST) == NOW_MS + later_seconds * 1_000


def test_a_date_is_one_of_the_calendar_of_the_co_op() -> None:
    assert format_time(NOW_MS // 1_000, EAST) == "2026-01-01 08:00"
    assert read_time_ms("2026-01-01T08:00", 0, EAST) == NOW_MS
    assert read_time_ms("2026-01-01", 0, EAST) == NOW_MS - 8 * 3_600_000


@pytest.mark.parametrize("text", ["", "d", "30", "3x", "-5m", "1.5h", "٣d", "2026-02-30", "1" * 10 + "s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Failure) as refused:
        read_time_ms(text, NOW_MS, EAST)
    assert refused.value.code is Exit.USAGE
