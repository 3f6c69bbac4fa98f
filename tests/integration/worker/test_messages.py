"""A message is a hint: doubled, reordered, forged or broken ones change nothing and harm nobody."""

from __future__ import annotations

import base64
import json
import pickle
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import jobs
from app.lifecycle import Ended
from app.queue import TASK_NAME, Wake
from tests.support.platform import Platform


def wake(output_id: Any, job_id: str, queue: str = "default") -> Wake:
    return Wake(output_id=output_id, job_id=job_id, queue=queue, template="raw-0", model="m")


@pytest.fixture(autouse=True)
def _worker_survives(platform: Platform) -> Iterator[None]:
    """Whatever was sent: the same process goes on working."""
    worker = platform.workers[0].running
    yield
    platform.wait_ended(platform.submit(), timeout=8)
    assert worker.running
    assert not platform.lines("consumer: Connection to broker lost")


def envelope(**changes: Any) -> str:
    """A message as kombu writes it to Redis, for a job that waits to be named."""
    job_id = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": TASK_NAME,
        "id": job_id,
        "root_id": job_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
    }
    body = json.dumps([[1], {}, {}])
    message: dict[str, Any] = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers | changes.pop("headers", {}),
        "properties": {
            "correlation_id": job_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "llm_jobs", "routing_key": "default"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps(message | changes)


def coded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.fault("F19", "messages are doubled")
def test_a_doubled_message_makes_no_second_call(platform: Platform) -> None:
    job = platform.submit(model="simulator/latency-0.3")
    for _ in range(10):
        platform.runtime.wake.send([wake(job.output_id, job.job_id)])
    (row,) = platform.wait_ended(job)
    platform.runtime.wake.send([wake(job.output_id, job.job_id)] * 5)
    platform.wait_ended(platform.submit())
    assert (row.status, row.fence) == ("completed", 1)
    assert platform.row(job).updated_at == row.updated_at
    assert platform.calls(job) == 1


def test_the_order_of_messages_does_not_matter(platform: Platform) -> None:
    ids = [platform.insert() for _ in range(20)]
    rows = platform.rows(*ids)
    platform.runtime.wake.send([wake(row.id, row.job_id) for row in reversed(rows)])
    ended = platform.wait_ended(*ids)
    assert {(row.status, row.fence) for row in ended} == {("completed", 1)}


def test_a_message_must_name_a_row_by_both_its_names(platform: Platform) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    first, second = (platform.submit(run_at=later) for _ in range(2))
    platform.runtime.wake.send(
        [
            wake(first.output_id, second.job_id),
            wake(first.output_id, str(uuid.uuid4())),
            wake(2**62, first.job_id),
            wake(first.output_id, first.job_id),  # and not before its time
        ]
    )
    platform.wait_ended(platform.submit())
    assert [row.fence for row in platform.rows(first, second)] == [0, 0]
    for job in (first, second):
        jobs.cancel(platform.runtime, platform.caller, job.job_id)


@pytest.mark.fault("F19", "messages name what is no row")
@pytest.mark.parametrize(
    "output_id",
    ["1", "x", -1, 0, 2**63, 2**200, None, True, 1.5, [], {}, [[1]], "\x00", "a" * 9999],
)
def test_what_is_no_number_of_a_row_wakes_nothing(platform: Platform, output_id: Any) -> None:
    job = platform.submit(model="simulator/latency-0.2")  # in the same batches as the forged one
    platform.runtime.wake.send([wake(output_id, str(uuid.uuid4())), wake(output_id, job.job_id)])
    (row,) = platform.wait_ended(job)
    assert (row.status, row.fence) == ("completed", 1)


GARBAGE = {
    "empty": "",
    "no json": "garbage",
    "binary": b"\x80\x04\x95\xff\x00",
    "number": "17",
    "null": "null",
    "list": "[]",
    "no fields": "{}",
    "no body": envelope(body=None),
    "body not base64": envelope(body="%%%"),
    "body not json": envelope(body=base64.b64encode(b"{nope").decode()),
    "body a number": envelope(body=coded(5)),
    "body too short": envelope(body=coded([[1]])),
    "body of wrong types": envelope(body=coded(["args", 5, 7])),
    "many arguments": envelope(body=coded([[1, 2, 3], {"output_id": 3, "x": {}}, {}])),
    "headers null": envelope(headers={"task": None, "id": None}),
    "unknown task": envelope(headers={"task": "os.system"}),
    "task a list": envelope(headers={"task": ["a"]}),
    "id a list": envelope(headers={"id": ["a"]}),
    "id a number": envelope(headers={"id": 5}),
    "retries a text": envelope(headers={"retries": "many"}),
    "far eta": envelope(headers={"eta": "2999-01-01T00:00:00+00:00"}),
    "broken eta": envelope(headers={"eta": "soon"}),
    "expired": envelope(headers={"expires": "2001-01-01T00:00:00+00:00"}),
    "broken expiry": envelope(headers={"expires": "never"}),
    "time limits": envelope(headers={"timelimit": ["a", "b"]}),
    "callbacks": envelope(body=coded([[1], {}, {"callbacks": [{"task": "x"}], "chord": 1}])),
    "pickle": envelope(
        **{
            "content-type": "application/x-python-serialize",
            "body": base64.b64encode(pickle.dumps([[1], {}, {}])).decode(),
        }
    ),
    "yaml": envelope(**{"content-type": "application/x-yaml"}),
    "unknown type": envelope(**{"content-type": "x/y", "content-encoding": "binary"}),
    "no properties": envelope(properties={}),
    "properties null": envelope(properties=None),
    "huge": envelope(body=coded([[1], {"x": "y" * 2_000_000}, {}])),
}


@pytest.mark.fault("F19", "garbage stands on a queue")
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_on_the_queue_harms_nobody(platform: Platform, garbage: str | bytes) -> None:
    with platform.broker() as broker:
        broker.lpush("default", garbage)
    platform.wait_ended(platform.submit(), timeout=8)


def test_a_message_that_expires_cancels_nothing(platform: Platform) -> None:
    """Ours never do: Celery would revoke the job's id for hours."""
    job = platform.submit_for_later()
    forged = envelope(
        headers={"id": job.job_id, "expires": "2001-01-01T00:00:00+00:00"},
        body=coded([[job.output_id], {}, {}]),
    )
    with platform.broker() as broker:
        broker.lpush("default", forged)
    platform.wait_ended(platform.submit())
    platform.begin(job)
    (row,) = platform.wait_ended(job)
    assert row.status == "completed"


@pytest.mark.parametrize("channel", ["llm-jobs:cancel", "llm-jobs:listen", "llm-jobs:changes"])
@pytest.mark.parametrize(
    "text", ["", "{", "5", "null", '{"a": 1}', '[[1, 2], "x", null]', "[1e99]"]
)
def test_garbage_on_the_channels_harms_nobody(platform: Platform, channel: str, text: str) -> None:
    with platform.broker() as broker:
        broker.publish(channel, text)


def test_telling_flower_of_many_ends_raises_nothing(platform: Platform) -> None:
    ended = [Ended(n, str(uuid.uuid4()), "failed") for n in range(500)]
    failures = platform.runtime.wake.failures
    platform.runtime.wake.tell(ended)
    assert platform.runtime.wake.failures == failures
