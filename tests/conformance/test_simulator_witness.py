"""What the simulator remembers, its standing orders, and its API under `/_simulator/`."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from app.simulator.behaviour import UnknownBehaviour
from app.simulator.testing import RunningSimulator, running_simulator
from app.simulator.witness import KEPT_BODY_BYTES, Outcome, Witness
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def _server() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


@pytest.fixture
def sim(_server: RunningSimulator) -> RunningSimulator:
    _server.reset()
    return _server


def _post(
    sim: RunningSimulator,
    model: str = "gpt-4",
    *,
    attempt: str = "job-1/1",
    prompt: str = "x",
    x_simulator: str = "",
) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    headers = {"x-llm-jobs-attempt": attempt, "x-simulator": x_simulator}
    return httpx2.post(f"{sim.openai_url}/chat/completions", json=body, headers=headers)


# --- the log --------------------------------------------------------------------------------------


def test_a_request_is_remembered_with_all_that_matters(sim: RunningSimulator) -> None:
    reply = _post(sim, "gpt-sim-echo", attempt="4a1f/2", prompt="dragons are large")

    (record,) = sim.requests()
    assert record.is_call
    assert (record.method, record.path) == ("POST", "/v1/chat/completions")
    assert (record.job_id, record.attempt) == ("4a1f", "2")
    assert (record.model, record.behaviour, record.stream) == ("gpt-sim-echo", "echo", False)
    assert (record.status, record.outcome) == (200, Outcome.ANSWERED)
    assert (record.bytes_in, record.bytes_out) == (len(record.body), len(reply.content))
    assert json.loads(record.body)["messages"][0]["content"] == "dragons are large"
    assert (record.input_tokens, record.output_tokens) == (4, 4)
    assert record.at > 0
    assert record.seconds >= 0


def test_the_log_tells_jobs_and_calls_apart(sim: RunningSimulator) -> None:
    for attempt in ("job-1/1", "job-1/2", "job-2/1"):
        _post(sim, attempt=attempt)
    httpx2.get(f"{sim.openai_url}/models", headers={"x-llm-jobs-attempt": "job-2/1"})

    assert [record.attempt for record in sim.calls("job-1")] == ["1", "2"]
    assert len(sim.requests("job-2")) == 2
    assert len(sim.calls("job-2")) == 1
    assert sim.calls("unknown") == []


def test_counts_add_up(sim: RunningSimulator) -> None:
    _post(sim, "gpt-sim-echo", prompt="12345678")
    _post(sim, "gpt-sim-500", attempt="job-2/1")
    _post(sim, "gpt-sim-oops", attempt="job-2/2")

    counts = sim.counts()
    assert (counts.requests, counts.calls, counts.in_flight) == (3, 3, 0)
    assert (counts.input_tokens, counts.output_tokens) == (2, 2)
    assert counts.by_job == {"job-1": 1, "job-2": 2}
    assert counts.by_model == {"gpt-sim-echo": 1, "gpt-sim-500": 1, "gpt-sim-oops": 1}
    assert counts.by_status == {"200": 1, "500": 1, "400": 1}
    assert counts.by_outcome == {"answered": 1, "misbehaved": 1, "rejected": 1}


def test_calls_in_flight_are_counted_with_their_peak(sim: RunningSimulator) -> None:
    async def main() -> None:
        async with openai.AsyncOpenAI(
            base_url=sim.openai_url, api_key="any", max_retries=0
        ) as client:
            message: Any = {"role": "user", "content": "x"}
            calls = [
                asyncio.create_task(
                    client.chat.completions.create(model="gpt-sim-latency-30", messages=[message])
                )
                for _ in range(25)
            ]
            await asyncio.to_thread(sim.wait_for, lambda seen: seen.in_flight == 25, 10)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(main())

    sim.wait_for(lambda seen: seen.in_flight == 0, timeout=5)
    assert sim.counts().peak_in_flight == 25
    assert sim.counts().by_outcome == {"client_gone": 25}


def test_a_client_that_leaves_amid_a_stream_is_noticed(sim: RunningSimulator) -> None:
    body = {
        "model": "gpt-sim-tokens-1000+rate-20",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
    }
    with httpx2.stream("POST", f"{sim.openai_url}/chat/completions", json=body) as stream:
        next(stream.iter_bytes())

    sim.wait_for(lambda seen: seen.calls()[0].client_gone, timeout=5)
    (record,) = sim.calls()
    assert record.status == 200
    assert record.bytes_out > 0
    assert record.output_tokens == 0


def test_a_long_body_is_kept_by_its_beginning(sim: RunningSimulator) -> None:
    assert _post(sim, prompt="x" * 2_000_000).status_code == 200

    (record,) = sim.calls()
    assert record.bytes_in > 2_000_000
    assert len(record.body) == KEPT_BODY_BYTES


def test_records_handed_out_do_not_change_later(sim: RunningSimulator) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(_post, sim, "gpt-sim-latency-0.2")
        sim.wait_for(lambda seen: seen.in_flight == 1, timeout=5)
        (early,) = sim.calls()
        call.result()

    assert early.outcome is Outcome.IN_FLIGHT
    assert sim.calls()[0].outcome is Outcome.ANSWERED


# --- standing orders ------------------------------------------------------------------------------


def test_a_standing_order_wins_until_it_is_cleared(sim: RunningSimulator) -> None:
    sim.set_behaviour("503-9")
    outage = _post(sim, "gpt-sim-echo", x_simulator="echo")
    models = httpx2.get(f"{sim.openai_url}/models")
    health = httpx2.get(f"{sim.url}/health")
    sim.clear_behaviour()

    assert (outage.status_code, outage.headers["retry-after"]) == (503, "9")
    assert (models.status_code, health.status_code) == (503, 200)
    assert _post(sim, "gpt-sim-echo").status_code == 200


def test_a_standing_order_lasts_for_its_calls(sim: RunningSimulator) -> None:
    sim.set_behaviour("529", calls=2)

    assert [_post(sim).status_code for _ in range(4)] == [529, 529, 200, 200]


def test_a_standing_order_lasts_for_its_time(sim: RunningSimulator) -> None:
    sim.set_behaviour("500", seconds=0.5)

    assert _post(sim).status_code == 500
    eventually(lambda: _post(sim).status_code == 200, timeout=5)


def _knock(sim: RunningSimulator) -> None:
    """Connect and say nothing: whoever sends first ends the wait."""
    host, port = sim.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.recv(1)


def test_a_server_that_refuses_resets_every_new_connection(sim: RunningSimulator) -> None:
    sim.set_behaviour("refuse")
    with pytest.raises(ConnectionResetError):
        _knock(sim)
    with pytest.raises(httpx2.NetworkError):
        httpx2.get(f"{sim.openai_url}/models")
    sim.clear_behaviour()

    assert _post(sim).status_code == 200


def test_an_order_that_cannot_be_read_changes_nothing(sim: RunningSimulator) -> None:
    with pytest.raises(UnknownBehaviour):
        sim.set_behaviour("nonsense")

    assert _post(sim).status_code == 200


# --- its own API ----------------------------------------------------------------------------------


def _control(sim: RunningSimulator, method: str, name: str, **more: Any) -> httpx2.Response:
    return httpx2.request(method, f"{sim.url}/_simulator/{name}", **more)


def test_the_log_can_be_read_and_forgotten_over_http(sim: RunningSimulator) -> None:
    for attempt in ("job-1/1", "job-2/1", "job-1/2"):
        _post(sim, attempt=attempt)

    of_job = _control(sim, "GET", "requests", params={"job_id": "job-1"}).json()["requests"]
    latest = _control(sim, "GET", "requests", params={"limit": 1}).json()["requests"]
    counts = _control(sim, "GET", "counts").json()

    assert [record["attempt"] for record in of_job] == ["1", "2"]
    assert of_job[0]["outcome"] == "answered"
    assert json.loads(of_job[0]["body"])["model"] == "gpt-4"
    assert [(record["job_id"], record["attempt"]) for record in latest] == [("job-1", "2")]
    assert (counts["calls"], counts["by_job"]) == (3, {"job-1": 2, "job-2": 1})

    assert _control(sim, "DELETE", "requests").json() == {"requests": []}
    assert _control(sim, "GET", "counts").json()["calls"] == 0


def test_an_outage_can_be_played_over_http(sim: RunningSimulator) -> None:
    order = {"behaviour": "503", "seconds": 60, "calls": 5}

    given = _control(sim, "POST", "behaviour", json=order).json()
    assert given["behaviour"] == "503"
    assert _post(sim).status_code == 503
    assert _control(sim, "GET", "behaviour").json()["calls"] == 4

    assert _control(sim, "DELETE", "behaviour").json() == {"behaviour": None}
    assert _post(sim).status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        {"behaviour": "nonsense"},
        {"behaviour": 503},
        {},
        ["503"],
        {"behaviour": "503", "seconds": "soon"},
        {"behaviour": "refuse"},
    ],
)
def test_a_wrong_order_is_refused(sim: RunningSimulator, order: Any) -> None:
    reply = _control(sim, "POST", "behaviour", json=order)

    assert reply.status_code == 400
    assert reply.json()["error"]
    assert _control(sim, "GET", "behaviour").json() == {"behaviour": None}


def test_asking_the_simulator_about_itself_leaves_no_record(sim: RunningSimulator) -> None:
    _control(sim, "GET", "counts")

    assert _control(sim, "GET", "nothing").status_code == 404
    assert sim.requests() == []


# --- in a test ------------------------------------------------------------------------------------


def test_waiting_in_vain_ends_with_its_time_limit(sim: RunningSimulator) -> None:
    with pytest.raises(TimeoutError):
        sim.wait_for(lambda seen: seen.calls(), timeout=0.05)


def test_waiting_shows_what_the_predicate_raises(sim: RunningSimulator) -> None:
    def predicate(_: Witness) -> bool:
        raise LookupError("the test's own mistake")

    with pytest.raises(LookupError, match="own mistake"):
        sim.wait_for(predicate, timeout=5)


def test_a_simulator_ends_with_its_block_even_amid_a_call() -> None:
    failures: list[Exception] = []

    def call(sim: RunningSimulator) -> None:
        try:
            _post(sim, "gpt-sim-hang")
        except httpx2.HTTPError as error:
            failures.append(error)

    with running_simulator() as sim:
        caller = threading.Thread(target=call, args=(sim,))
        caller.start()
        sim.wait_for(lambda seen: seen.in_flight == 1, timeout=5)
    caller.join(10)

    assert len(failures) == 1
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{sim.url}/health")


def test_a_taken_port_is_said_at_once(sim: RunningSimulator) -> None:
    port = int(sim.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"), running_simulator(port=port):
        pass
