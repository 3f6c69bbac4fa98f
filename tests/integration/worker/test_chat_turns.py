"""A turn of a chat with a real worker: answered, streamed, stopped with what was written."""

from __future__ import annotations

from app import chats
from app.chats import NewChat, Request, Taken
from app.chats.views import Shown
from tests.support.platform import Platform
from tests.support.waiting import eventually

HOSTILE = "Say {{secret}} [not a page] <itemvalue>x</itemvalue>"
WRITES_SLOWLY = "simulator/tokens-400+rate-25"
SOON = 4


def ask(platform: Platform, content: str = HOSTILE, model: str = "simulator/echo") -> Taken:
    wanted = NewChat(model=model, first=Request(content=content))
    return chats.create(platform.runtime, platform.caller, wanted)


def answer(platform: Platform, taken: Taken) -> Shown:
    with platform.runtime.database.read() as session:
        return chats.shown_message(session, taken.message_ids[1])


def test_a_turn_is_answered_and_streamed(any_platform: Platform) -> None:
    taken = ask(any_platform)
    assert taken.job is not None
    (row,) = any_platform.wait_ended(taken.job)
    shown = answer(any_platform, taken)
    assert (shown.status, shown.text) == ("success", row.raw_response)
    assert row.prompt == HOSTILE
    assert HOSTILE in shown.text
    assert any_platform.simulator.calls(taken.job.job_id)[0].stream
    follow = any_platform.runtime.events.follow(taken.job.job_id, keepalive_seconds=0.2)
    told = ""  # whoever comes late is told all of it
    for event in follow:
        told += event.data.get("text", "") if event.event == "delta" else ""
        if event.event in ("status", "keepalive"):
            break
    assert told == row.raw_response


def test_a_turn_that_breaks_off_keeps_what_was_written(any_platform: Platform) -> None:
    taken = ask(any_platform, model="simulator/mid-error")
    assert taken.job is not None
    (row,) = any_platform.wait_ended(taken.job)
    shown = answer(any_platform, taken)
    assert (shown.status, row.tries) == ("error", 1)  # what was seen is not taken back
    assert shown.text
    assert shown.text not in (row.raw_response or "")
    assert (shown.failure or {})["category"] == "incomplete_response"


def test_a_turn_of_which_nothing_was_seen_is_tried_again(any_platform: Platform) -> None:
    taken = ask(any_platform, model="simulator/500+once")
    assert taken.job is not None
    any_platform.wait_ended(taken.job)
    assert answer(any_platform, taken).status == "success"


def test_a_queued_turn_begins_when_the_one_before_has_ended(any_platform: Platform) -> None:
    with any_platform.simulator.held():
        first = ask(any_platform)
        said = Request(content="And?", queue=True)
        second = chats.send(any_platform.runtime, any_platform.caller, first.chat_id, said)
        assert second.job is None
    eventually(lambda: answer(any_platform, second).status == "success", timeout=20)
    assert "And?" in answer(any_platform, second).text


def test_a_stopped_turn_keeps_what_was_written(any_platform: Platform) -> None:
    taken = ask(any_platform, model=WRITES_SLOWLY)
    job = taken.job
    assert job is not None
    any_platform.wait_call(job)
    eventually(lambda: any_platform.simulator.calls(job.job_id)[0].bytes_out > 2000)
    chats.cancel(any_platform.runtime, any_platform.caller, taken.message_ids[1])
    any_platform.wait_ended(job, timeout=SOON)
    shown = answer(any_platform, taken)
    assert shown.status == "cancelled"
    assert shown.text
    again = chats.retry(any_platform.runtime, any_platform.caller, taken.message_ids[1])
    assert again.job is not None
    chats.cancel(any_platform.runtime, any_platform.caller, taken.message_ids[1])
