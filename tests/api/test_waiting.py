"""`?wait=`: an answer that is held until the job ends, and never longer than asked."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.holding import Held, Places
from tests.api.house import JOBS, SEED, House
from tests.support.waiting import eventually

ECHO = {"model": "simulator/echo"}


def waiting(house: House) -> int:
    held: Held = house.app.extensions["llm_jobs_held"]
    return held.waits.held


def test_a_wait_ends_with_the_job(house: House) -> None:
    job = house.submit(**ECHO)
    with ThreadPoolExecutor(1) as pool:
        path = f"{JOBS}/{job['job_id']}?wait=30"
        answer = pool.submit(house.get, path, as_=house.alice)
        eventually(lambda: waiting(house) == 1)
        started = time.monotonic()
        house.complete(job)
        row = answer.result(timeout=20).get_json()
    assert row["status"] == "completed"
    assert time.monotonic() - started < 10
    assert waiting(house) == 0


def test_a_wait_that_is_over_shows_the_row_as_it_is(house: House) -> None:
    job = house.submit(**ECHO)
    started = time.monotonic()
    row = house.get(f"{JOBS}/{job['job_id']}?wait=0.3", as_=house.alice).get_json()
    assert row["status"] == "pending"
    assert time.monotonic() - started >= 0.3


def test_waiting_for_an_ended_job_takes_no_time(house: House) -> None:
    job = house.ended(**ECHO)
    started = time.monotonic()
    house.get(f"{JOBS}/{job['job_id']}?wait=60", as_=house.alice)
    assert time.monotonic() - started < 5


def test_a_wait_on_posting_adds_the_whole_row_behind_the_four_keys(house: House) -> None:
    answer = house.post(f"{JOBS}?wait=0.2", as_=house.alice, json={**SEED, **ECHO})
    told = answer.get_json()
    assert answer.status_code == 201
    assert set(told) == {"job_id", "output_id", "status", "estimated_completion", "output"}
    assert (told["status"], told["output"]["status"]) == ("queued", "pending")


def test_a_wait_on_posting_ends_with_the_job(house: House) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(house.post, f"{JOBS}?wait=30", as_=house.alice, json={**SEED, **ECHO})
        eventually(lambda: waiting(house) == 1)
        listed = house.get("/api/v1/llm_outputs", as_=house.alice).get_json()["data"]
        house.complete(listed[0])
        told = answer.result(timeout=20).get_json()
    assert told["output"]["status"] == "completed"
    assert told["status"] == "queued"


@pytest.mark.parametrize("wait", ["61", "-1", "x", "nan", "inf", "", "1e9"])
def test_an_odd_wait_is_400(shared: House, wait: str) -> None:
    for method, path in (("GET", f"{JOBS}/0"), ("POST", JOBS)):
        answer = shared.call(method, path, as_=shared.alice, query_string={"wait": wait})
        assert answer.status_code == 400
        assert answer.get_json()["errors"][0]["parameter"] == "wait"


def test_without_a_place_to_wait_the_answer_comes_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.submit(**ECHO)
    monkeypatch.setattr(house.app.extensions["llm_jobs_held"], "waits", Places(0, per_user=0))
    row = house.get(f"{JOBS}/{job['job_id']}?wait=60", as_=house.alice).get_json()
    assert row["status"] == "pending"


def test_places_are_counted_in_all_and_per_user() -> None:
    places = Places(3, per_user=2)
    assert [places.take("a"), places.take("a"), places.take("a")] == [True, True, False]
    assert [places.take("b"), places.take("b")] == [True, False]
    places.give_back("a")
    assert places.take("b")
    for user in ("a", "b", "b"):
        places.give_back(user)
    assert places.held == 0


def test_places_taken_by_many_threads_are_never_more_than_there_are() -> None:
    places, taken, start = Places(5, per_user=5), [], threading.Barrier(20)

    def take() -> None:
        start.wait()
        taken.append(places.take("a"))

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == places.held == 5
