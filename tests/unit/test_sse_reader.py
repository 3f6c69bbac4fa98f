"""The event reader: the same events however the bytes are cut, within bounds."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidResponse
from app.providers.draft import Text
from app.providers.events import Event, EventReader

STREAM = (
    b"\xef\xbb\xbf: hello\r\n\r\n"
    b"event: start\r\ndata: {}\r\n\r\n"
    b"data: one\ndata: two\n\n"
    b"id: 7\nretry: 5\ndata:bare\n\n"
    b": keep-alive\n\n: keep-alive\n\n"
    b"event: nothing\n\n"
    b"event: \xc3\xa9\ndata: \xc3\xa9\n\n"
    b"data: [DONE]\n\n"
    b"data: never finished"
)
EVENTS = [
    Event("start", b"{}"),
    Event("", b"one\ntwo"),
    Event("", b"bare"),
    Event("é", "é".encode()),
    Event("", b"[DONE]"),
]


def read(*chunks: bytes) -> list[Event]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def test_events_are_read_and_comments_are_not() -> None:
    assert read(STREAM) == EVENTS


@given(st.lists(st.integers(min_value=3, max_value=len(STREAM))))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    marks = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(marks)]
    assert read(*chunks) == EVENTS


def test_old_line_ends_are_line_ends() -> None:
    assert read(b"data: a\r\rdata: b\r", b"\rdata: c\n\n") == [
        Event("", b"a"),
        Event("", b"b"),
        Event("", b"c"),
    ]


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_any_bytes_are_read_without_failing(chunks: list[bytes]) -> None:
    read(*chunks)


@pytest.mark.parametrize(
    ("piece", "words"),
    [(b"x", "one event"), (b"data: x\n", "one event"), (b": alive\n\n", "longer")],
    ids=["line", "event", "stream"],
)
def test_what_never_ends_is_refused(piece: bytes, words: str) -> None:
    reader = EventReader(max_event=1000, max_stream=4000)
    with pytest.raises(InvalidResponse, match=words):
        list(map(reader.feed, [piece] * 1001))


def test_a_long_line_in_small_pieces_costs_no_more_than_its_length() -> None:
    reader = EventReader()
    started = time.process_time()
    for _ in range(500_000):
        reader.feed(b"x")
    assert time.process_time() - started < 5
    assert reader.feed(b"\n\n") == []


def test_text_is_always_storable_and_the_same_in_pieces() -> None:
    text = Text()
    shown = [text.add(piece) for piece in ("a\0", None, "b\ud83d", "\ude00c", "\ude00", "d\ud83d")]
    assert shown == ["a\ufffd", "", "b", "\U0001f600c", "\ufffd", "d"]
    assert str(text) == "a\ufffdb\U0001f600c\ufffdd\ufffd"


def test_text_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidResponse, match="int"):
        Text().add(42)


def test_text_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.providers.draft.MAX_TEXT", 10)
    text = Text()
    text.add("x" * 10)
    with pytest.raises(InvalidResponse, match="longer"):
        text.add("x")
