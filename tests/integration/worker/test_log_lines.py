"""The lines a worker writes: the seed's events with their facts, and no secret, ever."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.platform import VENDOR_KEYS, Platform
from tests.support.plugin import known_here
from tests.support.waiting import eventually

CANARY = "canary-57af33"


def line(platform: Platform, event: str, job_id: str) -> dict[str, Any]:
    """The one line of an event of a job."""
    (found,) = eventually(lambda: platform.lines(event, job_id=job_id))
    return dict(found)


def test_a_start_and_an_end_are_told_with_their_facts(platform: Platform) -> None:
    job = platform.submit(model="gpt-4", template="Tell {{concept}}. " + "x" * 200)
    platform.wait_ended(job)
    common = {
        "job_id": job.job_id,
        "output_id": job.output_id,
        "template": ("Tell {{concept}}. " + "x" * 200)[:80],
        "model": "gpt-4",
        "user_id": platform.caller.user_id,
        "level": "info",
    }
    start = line(platform, "LLMJob started", job.job_id)
    assert start.items() >= common.items()
    assert start.items() >= {"format": "text", "agent_id": None, "attempt": 1}.items()
    assert start["context_keys"] == ["concept"]
    end = line(platform, "LLMJob completed successfully", job.job_id)
    assert end.items() >= common.items()
    assert end["response_length"] == len(platform.row(job).raw_response or "")
    assert end["duration"] > 0
    assert end["usage"].keys() == {"input_tokens", "output_tokens"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", end["timestamp"])


def test_retries_and_the_last_failure_are_told_in_the_seeds_words(platform: Platform) -> None:
    job = platform.submit(model="simulator/500")
    platform.wait_ended(job)
    last = line(platform, "Job permanently failed after all retries", job.job_id)
    assert (last["level"], last["error_code"]) == ("error", "provider_failed")
    retries = [one["message"] for one in platform.lines("LLMJob retry", job_id=job.job_id)]
    assert len(retries) == 5
    for number, message in enumerate(retries, start=1):
        assert re.fullmatch(rf"LLMJob retry {number}/5 in [\d.e-]+ seconds", message)
    assert len(platform.lines("LLMJob failed", job_id=job.job_id)) == 6


def test_no_secret_and_no_value_is_in_any_line(platform: Platform) -> None:
    """Prompts, answers, values, keys: of jobs that end in every way there is."""
    models = (
        "gpt-4",
        "gpt-sim-400",
        "gpt-sim-401",
        "claude-3-opus",
        "claude-sim-500",
        "simulator/malformed",
    )
    models += (
        "simulator/repairable",
        "simulator/bad-json",
        "simulator/echo",
        "gpt-sim-context-length",
    )
    with known_here():
        submitted = [
            platform.submit(
                model=model,
                format="json",
                template="Short {{concept}}." + " " * 80 + CANARY,
                context={"concept": CANARY, "password": CANARY},
                system=f"system {CANARY}",
                fetchers={"whisper": {"word": CANARY}},
                metadata={"note": CANARY},
                options={"stop": [CANARY]} if model == "gpt-4" else {},
            )
            for model in models
        ]
    platform.wait_ended(*submitted)
    for job in submitted:
        eventually(lambda job=job: platform.lines("LLMJob", job_id=job.job_id))
    written = "\n".join(worker.output for worker in platform.workers)
    for secret in (CANARY, *VENDOR_KEYS.values(), platform.key, _password(platform.redis_url)):
        assert secret not in written


def test_no_value_travels_through_the_broker(platform: Platform) -> None:
    with platform.broker() as broker:
        broker.config_set("slowlog-log-slower-than", 0)
        broker.config_set("slowlog-max-len", 20_000)
        job = platform.submit(template=f"Say {CANARY}", context={"concept": CANARY})
        platform.wait_ended(job)
        commands = [str(entry["command"]) for entry in broker.slowlog_get(20_000)]
        broker.config_set("slowlog-log-slower-than", -1)
    assert any(job.job_id in command for command in commands)
    assert not [command for command in commands if CANARY in command]


def test_every_line_is_json_once_the_worker_runs(platform: Platform) -> None:
    output = platform.workers[0].output
    ready = output.index('"worker-0@test ready."')
    for text in output[ready:].splitlines()[1:-1]:
        json.loads(text)


def _password(url: str) -> str:
    return url.split("@")[0].rpartition(":")[2]
