"""What is taken from a provider's headers about waiting, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.providers.limits_headers import ABSURD_SECONDS, MAX_SECONDS, limits, retry_after

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def wait(**headers: str) -> float | None:
    return retry_after({name.replace("_", "-"): value for name, value in headers.items()}, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("900", 900.0),
        ("901", MAX_SECONDS),
        ("86400", MAX_SECONDS),
        ("86401", None),
        ("1e9", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("abc", None),
        ("", None),
        ("Wed, 04 Mar 2026 05:06:37 GMT", 30.0),
        ("Wed, 04 Mar 2026 05:06:37 -0000", 30.0),
        ("Wed, 04 Mar 2026 06:06:37 +0100", 30.0),
        ("Wed, 04 Mar 2026 05:06:06 GMT", None),
        ("Wed, 04 Mar 2026 08:06:07 GMT", MAX_SECONDS),
        ("Fri, 06 Mar 2026 05:06:07 GMT", None),
        ("Wed, 99 Mar 2026 05:06:07 GMT", None),
    ],
)
def test_retry_after_is_read_or_ignored(text: str, seconds: float | None) -> None:
    assert wait(retry_after=text) == seconds


def test_milliseconds_are_preferred() -> None:
    assert wait(retry_after_ms="250", retry_after="7") == 0.25


@pytest.mark.parametrize("odd", ["", "-5", "soon", "nan", "1e12"])
def test_unusable_milliseconds_leave_the_seconds(odd: str) -> None:
    assert wait(retry_after_ms=odd, retry_after="7") == 7.0


def test_silence_is_none() -> None:
    assert retry_after({}, NOW) is None


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text()))
@example({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"})
@example({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"})
@example({"retry-after": "9" * 5000})
@example({"retry-after-ms": "1_000"})
def test_whatever_is_sent_the_wait_is_sane(headers: dict[str, str]) -> None:
    seconds = retry_after(headers, NOW)
    assert seconds is None or 0 <= seconds <= MAX_SECONDS


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_is_taken_capped_or_ignored(number: float) -> None:
    seconds = wait(retry_after=repr(number))
    if 0 <= number <= ABSURD_SECONDS:
        assert seconds == min(number, MAX_SECONDS)
    else:
        assert seconds is None


@given(st.integers(min_value=0, max_value=int(ABSURD_SECONDS)))
def test_a_date_is_the_time_until_it(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert wait(retry_after=date) == min(seconds, MAX_SECONDS)


def test_limits_keep_only_their_headers_in_lower_case() -> None:
    headers = {
        "X-RateLimit-Remaining-Requests": "12",
        "Anthropic-RateLimit-Tokens-Reset": "2026-03-04T05:06:08Z",
        "Date": "today",
    }
    assert limits(headers) == {
        "x-ratelimit-remaining-requests": "12",
        "anthropic-ratelimit-tokens-reset": "2026-03-04T05:06:08Z",
    }


@pytest.mark.parametrize("absent", ["0", "-1"])
def test_limits_that_are_none_are_left_out(absent: str) -> None:
    headers = {
        "x-ratelimit-limit-requests": absent,
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "0",
        "anthropic-ratelimit-requests-limit": absent,
        "anthropic-ratelimit-requests-remaining": "5",
    }
    assert set(limits(headers)) == {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"}
