"""The first minute of `llm-jobs dev`: is it up, who may use it, does a job come out at the end.

Everything goes through the front doors, the command line and the HTTP API, as a user would.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from app.dev.child import Program
from app.dev.plan import Addresses, Plan
from app.dev.supervisor import StartFailed, until

USER = "admin@localhost"

_KEY_DAYS = 30  # each start makes a key: old ones must not stay good for ever
_HEALTHY_WITHIN_SECONDS = 60
_JOB_WITHIN_SECONDS = 60
_LONGEST_WAIT_SECONDS = 30
_FIRST_JOB = {
    "template": "Say hello to {{name}} in one sentence.",
    "model": "simulator/hello",
    "context": {"name": "the world"},
    "metadata": {"from": "llm-jobs dev"},
}
_EXAMPLE = {
    "template": "Explain {{concept}} to a beginner",
    "model": "gpt-4",
    "context": {"concept": "machine learning"},
    "format": "text",
}

Capture = Callable[[Program], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class FirstRun:
    """What a newcomer is shown: a key that works, and the job it was tried with."""

    key: str = field(repr=False)
    job: dict[str, Any]


async def first_run(plan: Plan, capture: Capture) -> FirstRun:
    """Wait for the web server, make a key for the administrator, run a job to its end.

    `capture` runs a program and returns its standard output. Raises StartFailed when a step fails
    or takes longer than a minute.
    """
    url = plan.addresses.web
    async with aiohttp.ClientSession(raise_for_status=False) as http:
        _, key = await asyncio.gather(_until_healthy(http, url), _new_key(plan, capture))
        await _give_password(plan, capture)
        http.headers["Authorization"] = f"Bearer {key}"
        return FirstRun(key=key, job=await _run_a_job(http, url))


async def _until_healthy(http: aiohttp.ClientSession, url: str) -> None:
    async def healthy() -> bool:
        try:
            async with http.get(f"{url}/healthz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await until(
        healthy,
        within_seconds=_HEALTHY_WITHIN_SECONDS,
        failure=f"{url}/healthz did not answer 200 in time",
    )


async def _new_key(plan: Plan, capture: Capture) -> str:
    made = await capture(
        plan.command(
            "keys",
            *("keys", "create", "--user", USER, "--admin", "--name", "llm-jobs dev"),
            *("--expires-in-days", str(_KEY_DAYS)),
        )
    )
    if not made or "\n" in made:
        raise StartFailed("keys create: did not print one key")
    return made


async def _give_password(plan: Plan, capture: Capture) -> None:
    """What the administrator signs in to the pages with; one that was set by hand stays."""
    words = ("users", "set-password", USER, "--unless-set")
    program = plan.command("users", *words)
    await capture(replace(program, stdin=f"{plan.password}\n".encode()))


async def _run_a_job(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    job = await _json(http, "POST", f"{url}/api/v1/llm_jobs", json=_FIRST_JOB)
    address = f"{url}/api/v1/llm_jobs/{job['job_id']}"
    row: dict[str, Any] = {}

    async def ended() -> bool:
        row.update(await _json(http, "GET", address, params={"wait": _LONGEST_WAIT_SECONDS}))
        return row["status"] not in ("pending", "processing")

    await until(
        ended,
        within_seconds=_JOB_WITHIN_SECONDS,
        failure="the first job did not end in time; is the worker up? `llm-jobs doctor` looks",
    )
    if row["status"] != "completed":
        raise StartFailed(f"the first job is {row['status']}: {row.get('error_message')}")
    return row


async def _json(
    http: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> dict[str, Any]:
    try:
        async with http.request(method, url, **options) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise StartFailed(f"{method} {url} answered {answer.status}: {text}")
            body: dict[str, Any] = json.loads(text)
            return body
    except (aiohttp.ClientError, ValueError) as error:
        raise StartFailed(f"{method} {url}: {error}") from error


def welcome(addresses: Addresses, *, flower_auth: str, password: str, shown: FirstRun) -> str:
    """What to read and what to try next. Holds the key and both passwords."""
    flower_user, _, flower_password = flower_auth.partition(":")
    job = shown.job
    return "\n".join(
        [
            "",
            f"The first job, {job['job_id']}, is {job['status']}. Its output:",
            "",
            *(f"    {line}" for line in _output(job).splitlines()),
            "",
            f"Web       {addresses.web}",
            f"Sign in   {USER}  with {password}  unless you have changed it",
            f"API docs  {addresses.web}/docs",
            f"Flower    {addresses.flower}  (user {flower_user}, password {flower_password})",
            f"API key   {shown.key}  (user {USER}, administrator, {_KEY_DAYS} days)",
            "",
            "Try it:",
            "",
            _curl(f"{addresses.web}/api/v1/llm_jobs?wait=30", shown.key),
            "",
            "Ctrl-C stops everything.",
            "",
        ]
    )


def _output(job: dict[str, Any]) -> str:
    output = job.get("parsed_output")
    if output is None:
        output = job.get("raw_response") or ""
    return output if isinstance(output, str) else json.dumps(output, indent=2)


def _curl(url: str, key: str) -> str:
    return (
        f"    curl -X POST '{url}' \\\n"
        f"      -H 'Authorization: Bearer {key}' \\\n"
        f"      -H 'Content-Type: application/json' \\\n"
        f"      -d '{json.dumps(_EXAMPLE)}'"
    )
