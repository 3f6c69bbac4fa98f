"""preview: what a job would send and what it might cost. Nothing is stored, no model is called."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from app import prices
from app.accounts import Caller
from app.jobs.load import current_load
from app.jobs.request import JobRequest
from app.jobs.submit import read_meaning
from app.lifecycle import NewJob
from app.prompts.conversation import prompt_text, system_text
from app.providers import pricing
from app.providers.contract import Message, Usage
from app.providers.registry import Route
from app.runtime import Runtime

CHARACTERS_PER_TOKEN = 4

_LIMIT_OPTIONS = ("max_tokens", "max_completion_tokens")


def preview(runtime: Runtime, caller: Caller, request: JobRequest) -> dict[str, Any]:
    """The final `prompt`, `system` and `messages`, `missing_variables`, `model`, `provider`,
    `estimated_input_tokens`, `estimated_output_tokens`, `estimated_cost`, `warnings`.

    Tokens of the answer are the job's own limit, or what answers of that model had lately (null
    when nobody knows); the cost is US dollars or null without a price. A strict request with
    missing variables is shown too: a preview is for finding them. Values of context fetchers are
    not fetched. Raises a RequestError as `submit` would for anything else.
    """
    meaning = read_meaning(runtime, caller, replace(request, strict=False))
    job = meaning.job
    rendered = [Message(role, t.render(job.context).text) for role, t in meaning.templates]
    system = system_text(
        rendered, own=job.system, format=str(job.format), response_schema=job.response_schema
    )
    messages = [asdict(message) for message in rendered if message.role != "system"]
    sent = len(system or "") + sum(len(message["content"]) for message in messages)
    input_tokens = -(-sent // CHARACTERS_PER_TOKEN)
    output_tokens = _answer_tokens(runtime, job)
    return {
        "prompt": prompt_text(rendered),
        "system": system,
        "messages": messages,
        "missing_variables": list(meaning.missing),
        "model": job.model_name,
        "provider": meaning.route.provider,
        "format": str(job.format),
        "estimated_input_tokens": input_tokens,
        "estimated_output_tokens": output_tokens,
        "estimated_cost": _cost(runtime, meaning.route, input_tokens, output_tokens),
        "warnings": _warnings(job),
    }


def _answer_tokens(runtime: Runtime, job: NewJob) -> int | None:
    limits = [(job.options or {}).get(name) for name in _LIMIT_OPTIONS]
    said = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool)]
    if said:
        return max(said)
    return current_load(runtime.database, runtime.settings).answer_tokens.get(job.model_name)


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
