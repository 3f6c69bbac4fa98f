"""The event stream of an open list: who hears of which rows, how many streams, and their end."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.holding import STREAMS_PER_USER, held, let_go
from tests.api.house import House, open_house
from tests.api.visiting import Visitor, signed_in
from tests.support.databases import SQLiteDatabases
from tests.support.waiting import eventually

LIVE = "/llm_outputs/live"
_EVENT = re.compile(rb"id: \d+\nevent: (\w+)\ndata: (.*)\n\n")


@pytest.fixture
def own_house(sqlite_databases: SQLiteDatabases, tmp_path: Any, redis_url: str) -> Iterator[House]:
    """A house whose streams nobody else holds."""
    url = sqlite_databases.migrated(tmp_path / "live.db")
    with open_house(url, redis_url, LLM_JOBS_RATE_LIMIT="1000000/minute") as house:
        yield house


def listen(visitor: Visitor, query: str) -> TestResponse:
    return visitor.get(f"{LIVE}?{query}")


def events(stream: TestResponse) -> Iterator[tuple[str, Any]]:
    """The events as they come; without end while the stream has none."""
    for piece in stream.response:
        match = _EVENT.fullmatch(piece if isinstance(piece, bytes) else piece.encode())
        if match:
            yield match[1].decode(), json.loads(match[2])


def test_the_owner_hears_that_his_row_moved(own_house: House) -> None:
    job = own_house.submit()
    row = job["output_id"]
    with closing(listen(signed_in(own_house, own_house.alice), f"ids={row}&after={row}")) as stream:
        assert stream.content_type == "text/event-stream"
        assert stream.headers["X-Accel-Buffering"] == "no"
        heard = events(stream)
        own_house.complete(job)
        assert next(one for one in heard if one[0] != "beat") == ("rows", {"ids": [row]})


def test_a_stranger_hears_of_his_own_rows_only(own_house: House) -> None:
    job = own_house.submit(own_house.alice)
    row = job["output_id"]
    charlie = signed_in(own_house, own_house.charlie)
    with closing(listen(charlie, f"ids={row}&after=0&of=all")) as stream:
        heard = events(stream)
        own_house.complete(job)
        own_house.submit(own_house.bob)
        own_house.submit(own_house.charlie)
        assert next(one for one in heard if one[0] != "beat") == ("new", {"count": 1})


def test_an_administrator_hears_of_everybodys_new_rows_when_he_asks(own_house: House) -> None:
    ada = signed_in(own_house, own_house.ada)
    own_house.submit(own_house.alice)
    own_house.submit(own_house.bob)
    with closing(listen(ada, "after=0&of=all")) as stream:
        assert next(events(stream)) == ("new", {"count": 2})


def test_there_are_three_streams_and_a_closed_one_makes_room(own_house: House) -> None:
    alice = signed_in(own_house, own_house.alice)
    open_ones = [listen(alice, f"after=0&tab={number}") for number in range(STREAMS_PER_USER)]
    assert [one.status_code for one in open_ones] == [200] * STREAMS_PER_USER
    refused = listen(alice, "after=0&tab=more")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"]
    open_ones.pop().close()
    open_ones.append(listen(alice, "after=0&tab=more"))
    assert open_ones[-1].status_code == 200
    for one in open_ones:
        one.close()


def test_the_same_tab_takes_the_place_of_its_last_page(own_house: House) -> None:
    alice = signed_in(own_house, own_house.alice)
    last = listen(alice, "after=0&tab=a-tab")
    reader = threading.Thread(target=lambda: (list(last.response), last.close()))
    reader.start()
    for _ in range(2 * STREAMS_PER_USER):
        fresh = listen(alice, "after=0&tab=a-tab")
        assert fresh.status_code == 200
        reader.join(timeout=10)
        assert not reader.is_alive()
        reader = threading.Thread(target=lambda one=fresh: (list(one.response), one.close()))
        reader.start()
    own_house.runtime.events.feed.end((own_house.alice.user_id, "a-tab"))
    reader.join(timeout=10)
    with own_house.app.app_context():
        eventually(lambda: held().streams.held == 0)


def test_a_stopping_process_lets_its_streams_go(own_house: House) -> None:
    stream = listen(signed_in(own_house, own_house.alice), "after=0")
    reader = threading.Thread(target=lambda: list(stream.response))
    reader.start()
    let_go(own_house.app)
    reader.join(timeout=10)
    assert not reader.is_alive()
    stream.close()
