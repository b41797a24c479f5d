"""Times and stretches as people give them at the command line."""

import click
import pytest

from consumer.times import SpanType, TimeType
from events.instant import DAY, HOUR, MINUTE, WEEK, Instant

MONDAY: Instant = 20_458 * DAY


@pytest.mark.parametrize(
    ("text", "span"), [("90m", 90 * MINUTE), ("12h", 12 * HOUR), ("1d", DAY), ("2w", 2 * WEEK)]
)
def test_a_span_has_a_number_and_a_unit(text: str, span: Instant) -> None:
    assert SpanType().convert(text, None, None) == span


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "1.5h", "1 d", "1y", "١d", "9999999m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no stretch of time"):
        SpanType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-05", MONDAY),
        ("2026-01-05T10:30Z", MONDAY + 10 * HOUR + 30 * MINUTE),
        ("2026-01-05T10:30+01:00", MONDAY + 9 * HOUR + 30 * MINUTE),
    ],
)
def test_a_time_without_an_offset_is_in_utc(text: str, instant: Instant) -> None:
    assert TimeType().convert(text, None, None) == instant


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="no ISO 8601 time"):
        TimeType().convert("tomorrow", None, None)


def test_defaults_stay_what_they_are() -> None:
    assert SpanType().convert(DAY, None, None) == DAY
    assert TimeType().convert(MONDAY, None, None) == MONDAY
