"""What stays open long: nobody keeps every thread, and nothing outlives its sign-in for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from api.holding import EXPORTS_PER_USER
from api.web import sign_in as sign_ins
from app import accounts
from tests.api.house import House, open_house
from tests.api.visiting import signed_in
from tests.support.databases import SQLiteDatabases

EXPORT = "/llm_outputs/export?which=matching&kind=jsonl"


@pytest.fixture
def own_house(sqlite_databases: SQLiteDatabases, tmp_path: Any, redis_url: str) -> Iterator[House]:
    """A house whose places nobody else holds."""
    url = sqlite_databases.migrated(tmp_path / "held.db")
    with open_house(url, redis_url, LLM_JOBS_RATE_LIMIT="1000000/minute") as house:
        yield house


def test_one_person_cannot_keep_every_thread_with_slow_downloads(own_house: House) -> None:
    own_house.submit(own_house.alice)
    alice, bob = signed_in(own_house, own_house.alice), signed_in(own_house, own_house.bob)
    with ExitStack() as unread:
        for _ in range(EXPORTS_PER_USER):
            unread.enter_context(closing(alice.get(EXPORT)))
        assert alice.get(EXPORT).status_code == 429
        with closing(bob.get(EXPORT)) as other:
            assert other.status_code == 200
    with closing(alice.get(EXPORT)) as again:
        assert again.status_code == 200


@pytest.mark.parametrize("path", ["/llm_outputs/live?after=0", "/llm_outputs/{row}/events"])
def test_an_open_stream_ends_when_its_sign_in_does(
    own_house: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_ins, "LOOK_SECONDS", 0.0)
    row = own_house.submit(own_house.alice)["output_id"]
    alice = signed_in(own_house, own_house.alice)
    with closing(alice.get(path.format(row=row))) as stream:
        pieces = iter(stream.response)
        assert next(pieces)
        with own_house.database.write() as session:
            accounts.update_user(session, accounts.OPERATOR, own_house.alice.user_id, active=False)
        assert len(list(pieces)) < 10  # else it would never end
