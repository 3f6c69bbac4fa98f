"""What is typed into the search box becomes filters, and filters become what could be typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidParameter
from app.jobs.search import Filters
from app.jobs.search_words import parse, put_together, taken_apart, write
from models import Format, Queue, Status

CLOCK = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)


def test_qualified_and_free_words_become_filters() -> None:
    text = (
        'status:failed model:gpt-4 template:"a b" user:me@example.org feedback:thumbs_down'
        " error:rate_limited since:2h free words"
    )
    assert parse(text, clock=CLOCK) == Filters(
        status="failed",
        model="gpt-4",
        template="a b",
        user="me@example.org",
        feedback="thumbs_down",
        error_code="rate_limited",
        created_after=CLOCK - timedelta(hours=2),
        q="free words",
    )


@pytest.mark.parametrize(("text", "said"), [
    ("", {}),
    ("   ", {}),
    ("bees", {"q": "bees"}),
    ("honey  bees", {"q": "honey bees"}),
    ('"honey  bees"', {"q": "honey  bees"}),
    ('"status:failed"', {"q": "status:failed"}),
    ('"http://example.org" bees', {"q": "http://example.org bees"}),
    ("at 10:30", {"q": "at 10:30"}),
    ('5"3', {"q": '5"3'}),
    ("STATUS:Failed", {"status": "failed"}),
    ("model:ollama/qwen:7b", {"model": "ollama/qwen:7b"}),
    (r'template:"say \"hi\" \\o/"', {"template": r'say "hi" \o/'}),
    ("since:30m", {"created_after": CLOCK - timedelta(minutes=30)}),
    ("since:7d", {"created_after": CLOCK - timedelta(days=7)}),
    ("since:2026-01-30", {"created_after": datetime(2026, 1, 30, tzinfo=UTC)}),
    ("before:2026-01-30T12:00:00+01:00",
     {"created_before": datetime(2026, 1, 30, 11, tzinfo=UTC)}),
    ("parent:12 queue:low format:json", {"parent_id": 12, "queue": "low", "format": "json"}),
    ('metadata.project:atlas metadata.who:"a b"',
     {"metadata": {"project": "atlas", "who": "a b"}}),
])  # fmt: skip
def test_words_are_read(text: str, said: dict[str, Any]) -> None:
    assert parse(text, clock=CLOCK) == Filters(**said)


@pytest.mark.parametrize(("text", "word", "told"), [
    ("bees colour:red", "colour:red", "Unknown filter colour:"),
    ("http://example.org", "http://example.org", "put the word in quotes"),
    ("bees status:done", "status:done", "pending, processing, completed, failed, cancelled"),
    ("feedback:up", "feedback:up", "none, thumbs_up, thumbs_down"),
    ("since:yesterday", "since:yesterday", "a time ago"),
    ("since:999999w", "since:999999w", "a time ago"),
    ("since:0001-01-01", "since:0001-01-01", "a time ago"),
    ("parent:x", "parent:x", "number of an output"),
    ("model:", "model:", "needs a value"),
    ('model:""', 'model:""', "needs a value"),
    ("model:a model:b", "model:b", "twice"),
    ("metadata.a:1 metadata.a:2", "metadata.a:2", "twice"),
    ('bees "honey', '"honey', "not closed"),
    ('model:"a"b', 'model:"a"b', "after its quotes"),
])  # fmt: skip
def test_a_wrong_word_is_named(text: str, word: str, told: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        parse(text, clock=CLOCK)
    assert refused.value.details["word"] == word
    assert told in refused.value.message
    assert refused.value.pointer == "/q"


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="at most 1000"):
        parse("x" * 1001, clock=CLOCK)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
MOMENTS = st.integers(0, 250_000_000_000).map(
    lambda s: datetime(1971, 1, 1, tzinfo=UTC) + timedelta(seconds=s, microseconds=s % 10**6)
)
FILTERS = st.builds(
    Filters,
    status=st.none() | st.sampled_from([str(word) for word in Status]),
    model=st.none() | TEXTS,
    template=st.none() | TEXTS,
    format=st.none() | st.sampled_from([str(word) for word in Format]),
    queue=st.none() | st.sampled_from([str(word) for word in Queue]),
    feedback=st.none() | st.sampled_from(["none", "thumbs_up", "thumbs_down"]),
    error_code=st.none() | TEXTS,
    user=st.none() | TEXTS,
    created_after=st.none() | MOMENTS,
    created_before=st.none() | MOMENTS,
    parent_id=st.none() | st.integers(1, 10**17),
    metadata=st.dictionaries(st.from_regex(r"\A[A-Za-z0-9_-]{1,10}\Z"), TEXTS, max_size=2),
    q=st.none() | TEXTS,
)


@settings(deadline=None)
@given(FILTERS)
def test_what_is_written_reads_the_same(filters: Filters) -> None:
    assert parse(write(filters), clock=CLOCK) == filters


@settings(deadline=None)
@given(st.text(max_size=80) | st.text('": \\astu.', max_size=20))
def test_any_text_is_read_or_refused_and_what_was_read_can_be_written(text: str) -> None:
    try:
        filters = parse(text, clock=CLOCK)
    except InvalidParameter:
        return
    assert parse(write(filters), clock=CLOCK) == filters


@pytest.mark.parametrize("text", [
    "",
    "bees and honey",
    'status:failed since:2h template:"a \\"b\\" c" metadata.team:red bees',
    '"status:failed" "http://example.org"',
])  # fmt: skip
def test_words_taken_apart_keep_what_was_typed_and_go_together_again(text: str) -> None:
    words = taken_apart(text)
    again = put_together(words)
    assert taken_apart(again) == words
    assert parse(again, clock=CLOCK) == parse(text, clock=CLOCK)


def test_a_time_ago_stays_a_time_ago_when_taken_apart() -> None:
    assert taken_apart("since:2h bees")["since"] == "2h"


@pytest.mark.parametrize("text", ['"open', "colour:red", "status:failed status:pending", "q:x"])
def test_what_is_no_word_is_refused_when_taken_apart(text: str) -> None:
    with pytest.raises(InvalidParameter):
        taken_apart(text)
