"""What went wrong and what to do about it, in a sentence each, for people who read no codes.

Pure: from an error code, or from a row as `describe` gives it. Every code of `app.errors` and every
code the lifecycle writes has its words here; a test fails when one is missing. Not here: the
provider's own message, which stands in the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_AGAIN = "Re-run it; if it fails again, tell whoever runs this service."
_LATER = "Re-run it later, or choose another model."
_OPERATOR = "Whoever runs this service has to mend it; then re-run the job."
_REQUEST = "Change the request and send it again."


@dataclass(frozen=True, slots=True)
class Explanation:
    """Two sentences: what `happened`, and what to `do`."""

    happened: str
    do: str


def explain(row: Mapping[str, Any]) -> Explanation | None:
    """Why a described row failed, was cancelled or waits for another try; None when nothing did.

    What happened ends with how often and how long it was tried, where that was more than once.
    """
    code = row.get("error_code")
    if not code:
        return None
    words = about(str(code))
    return Explanation(_with_effort(words.happened, row.get("attempts") or []), words.do)


def about(code: str) -> Explanation:
    """The words of an error code. One that nobody knows is told as it is."""
    known = EXPLANATIONS.get(code)
    return known or Explanation(f"It ended with the error {code}.", _AGAIN)


def _with_effort(happened: str, attempts: list[Mapping[str, Any]]) -> str:
    """`…; 6 attempts over 4 min.` instead of the full stop."""
    if len(attempts) < 2:
        return happened
    effort = f"{len(attempts)} attempts"
    seconds = _seconds_between(attempts[0], attempts[-1])
    if seconds is not None and seconds >= 1:
        effort += f" over {duration(seconds)}"
    return f"{happened.rstrip('.')}; {effort}."


def duration(seconds: float) -> str:
    """A length of time for people, in one unit: `45 s`, `4 min`, `3 h`, `2 d`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length or seconds == length:
            return f"{round(seconds / length)} {unit}"
    return f"{round(seconds)} s"


def _seconds_between(first: Mapping[str, Any], last: Mapping[str, Any]) -> float | None:
    begin, end = _moment(first.get("started_at")), _moment(last.get("finished_at"))
    return None if begin is None or end is None else (end - begin).total_seconds()


def _moment(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value))


EXPLANATIONS: Mapping[str, Explanation] = {
    code: Explanation(happened, do)
    for code, (happened, do) in {
        # Calls to models
        "provider_error": ("The call to the model failed.", _AGAIN),
        "connection_failed": (
            "The provider could not be reached.",
            "Check that its address is right and that it is up; then re-run the job.",
        ),
        "timeout": (
            "The provider did not answer in time.",
            "Re-run it later, ask for a shorter answer, or choose a faster model.",
        ),
        "provider_failed": ("The provider had a failure of its own.", _LATER),
        "overloaded": ("The provider had more work than it could do.", _LATER),
        "invalid_response": ("The provider's answer broke off or could not be read.", _LATER),
        "context_unavailable": (
            "A value the prompt needs could not be fetched, so no model was asked.",
            "Check the context fetcher named in the message; then re-run the job.",
        ),
        "rate_limited": (
            "The provider said slow down.",
            "Nothing is lost: it goes on when the provider allows. Send less at once, or have the"
            " limit raised.",
        ),
        "quota_exhausted": (
            "The quota or credit of the provider account is used up.",
            "Add credit or raise the limit at the provider; then re-run the job.",
        ),
        "provider_rejected": (
            "The provider does not accept this request.",
            "Read its message, change options or prompt, and regenerate.",
        ),
        "provider_denied": (
            "The provider refused our credentials.",
            "Whoever runs this service has to set a valid API key; then re-run the job.",
        ),
        "model_not_found": (
            "The provider does not know this model.",
            "Regenerate with a model it offers.",
        ),
        "context_too_long": (
            "The prompt is longer than the model can read.",
            "Shorten template or context, or choose a model with a larger context.",
        ),
        "refused": (
            "The model refused to answer.",
            "Reword the request, or choose another model. Trying again unchanged rarely helps.",
        ),
        "output_truncated": (
            "The answer was cut off at the limit of tokens.",
            "Regenerate with a larger max_tokens, or ask for a shorter answer.",
        ),
        "output_invalid": (
            "The answer does not match the required schema, not even after a repair.",
            "Say in the prompt what is wanted, loosen the schema, or choose another model.",
        ),
        "ERROR_LLM_PROMPT_INFERENCE": (
            "The answer is not what the prompt's result event reads, not even when asked again.",
            "Say in the prompt what is wanted, or choose another model.",
        ),
        "redirect_refused": (
            "The provider answered with a redirect, which is never followed.",
            "Whoever runs this service has to set the base URL the provider is really at.",
        ),
        "cancelled": ("It was cancelled.", "Re-run it if it is wanted after all."),
        # Ends without a call
        "expired": (
            "Its deadline passed before there was an answer.",
            "Re-run it with a later deadline, and look at the queues: too little may be running.",
        ),
        "poison": (
            "Three workers died while they held this job, so no further one gets it.",
            "Look for an unusually large prompt or answer, and at the memory of the workers.",
        ),
        "worker_lost": (
            "The worker died while it held this job.",
            "Nothing is to be done: another worker takes it.",
        ),
        "internal": ("Something unforeseen failed on our side.", _AGAIN),
        # Requests that cannot be served as sent
        "bad_request": ("The request could not be understood.", _REQUEST),
        "invalid_request": ("The request is not valid.", _REQUEST),
        "missing_parameter": ("Something that is required was not sent.", _REQUEST),
        "invalid_parameter": ("One of the values cannot be.", _REQUEST),
        "invalid_format": (
            "There is no such output format.",
            "Use one of text, json, markdown and html.",
        ),
        "invalid_context": (
            "The context is not an object of variables.",
            'Send it as a JSON object, such as {"name": "Ada"}.',
        ),
        "unknown_parameter": ("The request has a field nobody knows.", _REQUEST),
        "unsupported_model": (
            "No provider here serves this model.",
            "Choose one of the list of models, or have its provider configured.",
        ),
        "unauthenticated": ("Nobody is signed in.", "Sign in, or send a valid API key."),
        "allowance_used_up": (
            "The allowance of tokens is used up.",
            "Ask an administrator for a larger one.",
        ),
        "forbidden": ("That is not allowed.", "Ask an administrator, or use a key that may do it."),
        "not_found": ("There is no such thing here.", "Check the address; it may be mistyped."),
        "asset_not_found": (
            "There is no such asset here.",
            "Check its type and its id; it may be somebody else's.",
        ),
        "conflict": (
            "It has moved on meanwhile.",
            "Load it again to see how it stands now.",
        ),
        "turn_in_progress": (
            "The answer before it is still being written.",
            "Wait for its end, stop it, or let the message wait its turn.",
        ),
        "payload_too_large": ("The request is too large.", "Send less at once."),
        "unsupported_media_type": (
            "The body's type is not one that is read here.",
            "Send JSON, as application/json.",
        ),
        "unprocessable": ("The request makes no sense as a whole.", _REQUEST),
        "ERROR_LLM_PROMPT_TEMPLATE": (
            "The prompt definition, or one of its tags, cannot be read.",
            "Mend it where the message says, and publish it as a new version.",
        ),
        "ERROR_INVALID_PARAMETER": (
            "A word of the prompt definition is none of those allowed.",
            "The message names the words that are; publish a new version.",
        ),
        "ERROR_LLM_API": (
            "The prompt definition names an endpoint that is not registered.",
            "Ask an administrator to register it, or name a model in the job.",
        ),
        "PROMPT_ERROR": (
            "The prompt could not be put together from what the job brought.",
            "The message says what is missing: a file, a value, or a builder of prompts.",
        ),
        "file_unreadable": (
            "A file's text could not be read.",
            "Send a PDF with text in it, or plain text.",
        ),
        "template_syntax": (
            "The template cannot be parsed.",
            "Close every tag: {{ name }}.",
        ),
        "missing_variables": (
            "The template needs variables that nobody gave.",
            "Add them to the context; the message names them all.",
        ),
        "idempotency_mismatch": (
            "The same Idempotency-Key came with another request before.",
            "Use a new key for a new request.",
        ),
        "unavailable": (
            "A part of the service is away just now.",
            "Try again in a moment; nothing was changed.",
        ),
        "configuration": ("The service is not configured rightly.", _OPERATOR),
    }.items()
}
"""Error code → its words."""
