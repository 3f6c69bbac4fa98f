"""What things are called, and which of their facts are told: the GenAI semantic conventions.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai, status Development; the names are those
of opentelemetry-semantic-conventions 0.66b2. Pure: facts in, attributes out. Whatever a person may
have written stays out: prompts, answers, stop sequences, comments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.errors import CallError, LLMJobsError
from app.providers.contract import Answer, Call, Stop, Usage
from app.telemetry.recorder import Vote

if TYPE_CHECKING:
    from app.lifecycle import Claim, NewJob
    from app.providers.contract import Provider
    from app.providers.registry import Route

Attributes = dict[str, str | bool | int | float | list[str]]

CREATE, RUN, CHAT = "create job", "run job", "chat"

TOKENS = "gen_ai.client.token.usage"
DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
EVALUATION = "gen_ai.evaluation.result"

TOKEN_BUCKETS = [4**n for n in range(14)]
"""1 to 67,108,864 tokens."""
DURATION_BUCKETS = [2**n / 100 for n in range(14)]
"""0.01 to 81.92 seconds, of a whole call and of its first chunk."""

_NUMBERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}
"""Options that are numbers, and what they are told as."""

_FINISH_REASONS = {
    Stop.DONE: "stop",
    Stop.TRUNCATED: "length",
    Stop.REFUSED: "content_filter",
    Stop.FILTERED: "content_filter",
    Stop.TOOL: "tool_call",
    Stop.PAUSED: "pause",
}

_SCORES = {"thumbs_up": 1.0, "thumbs_down": 0.0}


def job_attributes(job: NewJob) -> Attributes:
    """Of a job that is being accepted."""
    return {
        "llm_jobs.job_id": job.job_id,
        "llm_jobs.queue": str(job.queue),
        "llm_jobs.model": job.model_name,
    }


def claim_attributes(claim: Claim) -> Attributes:
    """Of a job in a worker's hands; `attempt` is the first that this claim makes."""
    return {**_which(claim, claim.fence), "llm_jobs.try": claim.tries + 1}


def call_attributes(claim: Claim, call: Call, attempt: int) -> Attributes:
    """Of a request to a model, besides what `operation_attributes` says."""
    found: Attributes = {
        **_which(claim, attempt),
        "gen_ai.output.type": "json" if call.json or call.response_schema is not None else "text",
    }
    if call.stream:
        found["gen_ai.request.stream"] = True
    for option, name in _NUMBERS.items():
        value = call.options.get(option)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    if claim.prompt_name:
        found["gen_ai.prompt.name"] = claim.prompt_name
        if claim.prompt_version is not None:
            found["gen_ai.prompt.version"] = str(claim.prompt_version)
    return found


def operation_attributes(call: Call, route: Route, provider: Provider) -> Attributes:
    """What spans and metrics of a call both say."""
    return {
        "gen_ai.operation.name": CHAT,
        "gen_ai.provider.name": route.provider,
        "gen_ai.request.model": call.model,
        **_server(getattr(provider, "base_url", None)),
    }


def answer_attributes(answer: Answer) -> Attributes:
    """Of a complete answer."""
    found: Attributes = {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [_FINISH_REASONS[answer.stop]],
        **usage_attributes(answer.usage),
    }
    if answer.response_id:
        found["gen_ai.response.id"] = answer.response_id
    if answer.first_token_seconds is not None:
        found["gen_ai.response.time_to_first_chunk"] = answer.first_token_seconds
    return found


def usage_attributes(usage: Usage | None) -> Attributes:
    """Of the tokens of a call."""
    if usage is None:
        return {}
    found: Attributes = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    if usage.cached_tokens:
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
    return found


def vote_attributes(vote: Vote) -> Attributes:
    """Of a verdict. One that was taken back has a label and no score."""
    found: Attributes = {
        "gen_ai.evaluation.name": "user_feedback",
        "gen_ai.evaluation.score.label": vote.label,
        "llm_jobs.job_id": vote.job_id,
        "llm_jobs.output_id": vote.output_id,
    }
    if vote.label in _SCORES:
        found["gen_ai.evaluation.score.value"] = _SCORES[vote.label]
    return found


def error_type(error: BaseException) -> str:
    """The code of an error of ours (docs/reference/errors.md), or the name of its class: never
    what it says, which may quote a prompt.
    """
    return error.code if isinstance(error, LLMJobsError) else type(error).__name__


def usage_of(error: BaseException) -> Usage | None:
    """The tokens of a call that failed, where they are known."""
    return error.usage if isinstance(error, CallError) else None


def _which(claim: Claim, attempt: int) -> Attributes:
    return {
        "llm_jobs.job_id": claim.job_id,
        "llm_jobs.output_id": claim.output_id,
        "llm_jobs.attempt": attempt,
        "llm_jobs.queue": str(claim.queue),
    }


def _server(base_url: object) -> Attributes:
    if not isinstance(base_url, str):
        return {}
    try:
        url = urlsplit(base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        return {}
    return {"server.address": url.hostname, "server.port": port} if url.hostname else {}
