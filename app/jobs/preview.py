"""preview: what a job would send and what it might cost. Nothing is stored, no model is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app import formats, prices
from app.accounts import Caller
from app.jobs.load import current_load
from app.jobs.request import JobRequest
from app.jobs.submit import read_meaning
from app.lifecycle import NewJob
from app.providers import pricing
from app.providers.contract import Usage
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
    rendered = [(role, t.render(meaning.job.context).text) for role, t in meaning.templates]
    system = _system(meaning.job, rendered)
    messages = [{"role": role, "content": text} for role, text in rendered if role != "system"]
    sent = len(system or "") + sum(len(message["content"]) for message in messages)
    input_tokens = -(-sent // CHARACTERS_PER_TOKEN)
    output_tokens = _answer_tokens(runtime, meaning.job)
    return {
        "prompt": _prompt(rendered),
        "system": system,
        "messages": messages,
        "missing_variables": list(meaning.missing),
        "model": meaning.job.model_name,
        "provider": meaning.route.provider,
        "format": str(meaning.job.format),
        "estimated_input_tokens": input_tokens,
        "estimated_output_tokens": output_tokens,
        "estimated_cost": _cost(runtime, meaning.route, input_tokens, output_tokens),
        "warnings": _warnings(meaning.job),
    }


def _prompt(rendered: Sequence[tuple[str, str]]) -> str:
    """The text as the row will keep it: one message's own, several under their roles."""
    if len(rendered) == 1:
        return rendered[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in rendered)


def _system(job: NewJob, rendered: Sequence[tuple[str, str]]) -> str | None:
    own = [job.system or "", *(text for role, text in rendered if role == "system")]
    words = "\n\n".join(text for text in own if text)
    return formats.with_instruction(words, str(job.format), job.response_schema)


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
