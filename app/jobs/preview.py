"""preview: what a job would send and what it might cost. Nothing is stored, no model is called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app import prices
from app.accounts import Caller
from app.jobs.load import current_load
from app.jobs.meaning import NOWHERE, Meaning
from app.jobs.request import JobRequest
from app.jobs.submit import read_meaning
from app.lifecycle import NewJob
from app.prompts.script import steps_for
from app.prompts.steps import Question, assembled
from app.providers import pricing
from app.providers.contract import TOKEN_LIMITS, Message, Usage
from app.providers.registry import Route, resolve
from app.runtime import Runtime

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One call as it would be made."""

    question: Question
    model: str
    route: Route
    options: Mapping[str, Any]
    result_item: str | None = None
    result_event: str | None = None


def preview(runtime: Runtime, caller: Caller, request: JobRequest) -> dict[str, Any]:
    """The final `prompt`, `system` and `messages`, `missing_variables`, `model`, `provider`,
    `options`, `estimated_input_tokens`, `estimated_output_tokens`, `estimated_cost`, `warnings`;
    of a definition's job also `steps`, each call with what becomes of its answer.

    Tokens of the answer are the job's own limit, or what answers of that model had lately (null
    when nobody knows); the cost is US dollars or null without a price. A strict request with
    missing variables is shown too: a preview is for finding them. Values of context fetchers are
    not fetched. Raises a RequestError as `submit` would for anything else.
    """
    meaning = read_meaning(runtime, caller, request, lenient=True)
    calls = _of_script(runtime, meaning) if meaning.script else [_of_template(meaning)]
    costs = [_tokens_and_cost(runtime, call) for call in calls]
    first = _shown(calls[0]) if calls else _NOTHING
    steps = {"steps": [_as_step(call) for call in calls]} if meaning.script else {}
    return {
        **first,
        **steps,
        "missing_variables": list(meaning.missing),
        "provider": meaning.route.provider,
        "format": str(meaning.job.format),
        "estimated_input_tokens": sum(input_tokens for input_tokens, _, _ in costs),
        "estimated_output_tokens": _sum([output_tokens for _, output_tokens, _ in costs]),
        "estimated_cost": _sum([cost for _, _, cost in costs]),
        "warnings": _warnings(meaning.job),
    }


_NOTHING: Mapping[str, Any] = {
    "prompt": "",
    "system": None,
    "messages": [],
    "model": NOWHERE.model,
    "options": {},
}


def _of_template(meaning: Meaning) -> _Asked:
    job = meaning.job
    question = assembled(
        [Message(role, t.render(job.context).text) for role, t in meaning.templates],
        own=job.system,
        format=str(job.format),
        response_schema=job.response_schema,
    )
    return _Asked(
        question=question, model=job.model_name, route=meaning.route, options=job.options or {}
    )


def _of_script(runtime: Runtime, meaning: Meaning) -> list[_Asked]:
    """The calls of a definition's steps; items that earlier answers will give are not there yet."""
    seconds = runtime.settings.fetch_timeout_seconds
    steps = steps_for(meaning.job, hook_seconds=seconds)
    return [
        _Asked(
            question=asyncio.run(step.build(step.render(meaning.job.context, {}), {})),
            model=step.model,
            route=resolve(step.model, runtime.settings),
            options=step.options,
            result_item=step.asked.result_item,
            result_event=step.asked.result_event,
        )
        for step in steps
        if not step.asks_nobody
    ]


def _shown(call: _Asked) -> dict[str, Any]:
    messages = call.question.messages
    return {
        "prompt": call.question.prompt,
        "system": next((m.content for m in messages if m.role == "system"), None),
        "messages": [asdict(message) for message in messages if message.role != "system"],
        "model": call.model,
        "options": dict(call.options),
    }


def _as_step(call: _Asked) -> dict[str, Any]:
    return {**_shown(call), "result_item": call.result_item, "result_event": call.result_event}


def _tokens_and_cost(runtime: Runtime, call: _Asked) -> tuple[int, int | None, float | None]:
    sent = sum(len(message.content) for message in call.question.messages)
    input_tokens = -(-sent // CHARACTERS_PER_TOKEN)
    output_tokens = _answer_tokens(runtime, call)
    return input_tokens, output_tokens, _cost(runtime, call.route, input_tokens, output_tokens)


def _sum(numbers: Sequence[Any]) -> Any:
    """The sum, unless one of them is not known."""
    return None if any(number is None for number in numbers) else sum(numbers)


def _answer_tokens(runtime: Runtime, call: _Asked) -> int | None:
    limits = [call.options.get(name) for name in TOKEN_LIMITS]
    said = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool)]
    if said:
        return max(said)
    return current_load(runtime.database, runtime.settings).answer_tokens.get(call.model)


def _cost(
    runtime: Runtime, route: Route, input_tokens: int, output_tokens: int | None
) -> float | None:
    with runtime.database.read() as session:
        price = prices.price_for(session, route.provider, route.model)
    if price is None or output_tokens is None:
        return None
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    dollars = pricing.cost(usage, price)
    return None if dollars is None else float(dollars)


def _warnings(job: NewJob) -> list[str]:
    warnings = list(job.warnings or [])
    if job.fetchers:
        names = ", ".join(job.fetchers)
        warnings.append(f"What these context fetchers give is known when the job runs: {names}")
    return warnings
