"""The story of a job, moment by moment: queued, woken, each call and its end, the wait, the finish.

Pure, from a described row and the settings of the backoff. An attempt that a worker's death or a
drain ended is told apart from one that failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.web.words import count, dollars, duration
from app.retry import RetryPolicy

KINDS = {
    "answer": "Call",
    "step": "Call for the next step of its prompt definition",
    "repair": "Repair call: the answer was not valid, so the model is asked to mend it",
    "enlarge": "Enlarged call: the answer was cut, so it is asked for with a larger limit",
    "ask_again": "Asked again: the answer was not what its prompt definition wants",
    "retrieve": "Retrieval call",
    "route": "Routing call",
}
OUTCOMES = {
    "running": ("busy", "spinner", "under way"),
    "completed": ("good", "check", "answered"),
    "continued": ("plain", "next", "answered, followed by another call"),
    "retried": ("warn", "again", "failed, to be tried again"),
    "failed": ("bad", "cross", "failed"),
    "rate_limited": ("warn", "pause", "told to slow down; no try is used up"),
    "released": ("lost", "exit", "given back unstarted by a worker that was stopping"),
    "cancelled": ("plain", "stop", "cancelled"),
    "lost": ("lost", "warning", "lost: its worker died; the job was rescued"),
    "discarded": ("lost", "warning", "came back after the job had moved on; thrown away"),
}
ENDS = {
    "completed": ("good", "check", "Completed"),
    "failed": ("bad", "cross", "Failed"),
    "cancelled": ("plain", "stop", "Cancelled"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One moment: a tone and an icon, what happened, when, and the facts of it."""

    tone: str
    icon: str
    title: str
    at: str | None
    facts: tuple[tuple[str, str], ...] = ()
    outcome: str = ""
    error: str = ""
    wait: str = ""
    exchange: Mapping[str, Any] | None = None
    """What was sent and answered, of a job that is debugged."""


def steps(
    row: Mapping[str, Any], policy: RetryPolicy, *, woken_at: str | None = None
) -> list[Step]:
    """The steps of a described row, oldest first. `woken_at`: when its message went out last."""
    told = [Step("plain", "inbox", f"Queued in {row['queue']}", row["created_at"])]
    if woken_at and not row["attempts"]:
        told.append(Step("plain", "play", "Wake-up sent to the workers", woken_at))
    retried = 0
    for attempt in row["attempts"]:
        told.append(_attempt(attempt, policy, retried))
        retried += attempt["outcome"] == "retried"
    if woken_at and row["attempts"] and row["status"] == "pending":
        told.append(Step("plain", "play", "Wake-up sent to the workers", woken_at))
    if row["status"] in ENDS:
        told.append(Step(*ENDS[row["status"]], row["finished_at"]))
    return told


def wait_in_words(delay: float, retried: int, policy: RetryPolicy) -> str:
    """How a backoff came about: `waits 7.3 s = 5 s · 2¹ × 0.73`. Settings may have changed since;
    a delay they cannot have made was the provider's wish."""
    said = f"Waits {duration(delay)}"
    doubled = policy.base_seconds * 2.0**retried
    ratio = delay / doubled
    formula = f"{policy.base_seconds:g} s · 2{_raised(retried)} × {ratio:.2f}"
    if 0.5 <= ratio <= 1.5 and delay < policy.max_seconds:
        return f"{said} = {formula} (chance between 0.5 and 1.5, at most {policy.max_seconds:g} s)"
    if delay <= policy.max_seconds and doubled * 1.5 >= policy.max_seconds:
        share = delay / policy.max_seconds
        return f"{said} = the cap of {policy.max_seconds:g} s × {share:.2f}"
    return f"{said}, as long as the provider asked for"


def _attempt(attempt: Mapping[str, Any], policy: RetryPolicy, retried: int) -> Step:
    tone, icon, outcome = OUTCOMES.get(attempt["outcome"], ("plain", "dot", attempt["outcome"]))
    return Step(
        tone,
        icon,
        f"Attempt {attempt['number']}: claimed by {attempt['worker'] or 'a worker'}",
        attempt["started_at"],
        _facts(attempt),
        outcome,
        _error(attempt),
        _wait(attempt, policy, retried),
        attempt["exchange"],
    )


def _facts(attempt: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    provider, model = attempt["provider"], attempt["provider_model"]
    named = [
        ("Kind", KINDS.get(attempt["kind"], attempt["kind"])),
        ("Called", " · ".join(part for part in (provider, model) if part)),
        ("Request id", attempt["provider_request_id"]),
        ("HTTP status", attempt["http_status"]),
        ("Tokens", _tokens(attempt)),
        ("First token after", _seconds(attempt["first_token_seconds"])),
        ("Took", _seconds(attempt["duration_seconds"])),
        ("Cost", None if attempt["cost"] is None else dollars(attempt["cost"])),
    ]
    return tuple((name, str(value)) for name, value in named if value not in (None, ""))


def _tokens(attempt: Mapping[str, Any]) -> str:
    parts: Sequence[tuple[str, str]] = (
        ("input_tokens", "in"),
        ("output_tokens", "out"),
        ("cached_tokens", "cached"),
    )
    told = [f"{count(attempt[name])} {word}" for name, word in parts if attempt[name] is not None]
    return ", ".join(told)


def _error(attempt: Mapping[str, Any]) -> str:
    code, message = attempt["error_code"], attempt["error_message"]
    return ": ".join(part for part in (code, message) if part)


def _wait(attempt: Mapping[str, Any], policy: RetryPolicy, retried: int) -> str:
    delay = attempt["delay_seconds"]
    if delay is None:
        return ""
    if attempt["outcome"] == "rate_limited":
        return f"Waits {duration(delay)} for capacity, as its provider asked for"
    return wait_in_words(delay, retried, policy)


def _seconds(value: float | None) -> str | None:
    return None if value is None else duration(value)


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
