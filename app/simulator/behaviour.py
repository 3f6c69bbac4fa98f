"""What a model name asks the simulator to do: the grammar, its words and nothing that acts.

    model     = [ anything ] "sim-" told        gpt-sim-429-7, claude-sim-cut, simulator/sim-echo
              | [ anything "/" ] told           simulator/echo, 500 (only if every word is known)
    told      = word { ( "+" | "--" ) word }    latency-1+rate-50, fail-2--503
    word      = name [ "-" argument ] [ "-once" ]

The header `x-simulator: told` says the same and wins over the name; a behaviour set through
`POST /_simulator/behaviour` wins over both. Any other model name is a healthy model.

* Numbers are written plainly: `latency-1.5`, `tokens-200`.
* An error status takes a Retry-After: `429-7` (seconds), `429-date-30` (an HTTP date that many
  seconds from now), `429-ms-250` (in `retry-after-ms`), `429-negative` (-1), `429-garbage` (abc)
  or `429-huge` (1000000000); `429` alone sends none.
* `fail-N` limits the misbehaviour beside it to the first N calls of a job, after which the job is
  answered; alone it means `500`. `word-once` is `fail-1+word`. A job is the part before the slash
  of `x-llm-jobs-attempt`; without that header, the model and its messages.
* Many manners may be joined, but only one failure: `500+hang` is refused, as is an unknown word,
  because a typing error in a test must not look like a healthy model.

`WORDS` below lists every word; `docs/reference/simulator.md` shows the same list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

_TOLD_IN_NAME = re.compile(r"(?:^|[^a-z0-9])sim-(.+)$", re.DOTALL)
_SEPARATOR = re.compile(r"\+|--")
_RETRY_AFTER = re.compile(r"\d+(\.\d+)?|date-\d+|ms-\d+|negative|garbage|huge")
_ONCE = "-once"


class Kind(StrEnum):
    """What a word changes."""

    PACE = "pace"
    """When the answer comes."""
    MANNER = "manner"
    """A proper answer of another form."""
    ANSWER = "answer"
    """An answer in a proper envelope that a caller must not take for a good one."""
    ERROR = "error"
    """A proper error reply."""
    BODY = "body"
    """A reply that is none."""
    CONNECTION = "connection"
    """A reply that does not arrive as HTTP promises."""
    WHEN = "when"
    """Which calls the rest applies to."""


class Takes(StrEnum):
    """The argument of a word; every argument is optional unless the word has no default."""

    NOTHING = ""
    SECONDS = "seconds"
    NUMBER = "number"
    RETRY_AFTER = "retry-after"
    REDIRECT = "301, 302, 303, 307 or 308"


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the grammar. `default` is the argument when none is written."""

    name: str
    kind: Kind
    meaning: str
    takes: Takes = Takes.NOTHING
    default: str = ""


def _words() -> tuple[Word, ...]:
    errors = {
        "400": "bad request",
        "401": "wrong key",
        "402": "billing",
        "403": "no permission",
        "404": "unknown model",
        "408": "request time-out",
        "409": "conflict",
        "413": "request too large",
        "422": "unprocessable",
        "429": "rate limit",
        "500": "internal error",
        "502": "bad gateway",
        "503": "unavailable",
        "504": "gateway time-out",
        "529": "overloaded",
        "quota": "429 `insufficient_quota` (Anthropic: 402 `billing_error`)",
        "spend-limit": "429 with a spend code (Anthropic: `enforced_spend_limit_reached`)",
        "ramp": "429 for growing too fast (Anthropic: `ramp_limit_exceeded`)",
        "context-length": "400, the prompt is longer than the model's context",
    }
    return (
        Word("latency", Kind.PACE, "wait before the first byte", Takes.SECONDS, "1"),
        Word("slow", Kind.PACE, "the same as `latency`", Takes.SECONDS, "1"),
        Word("first", Kind.PACE, "a stream's wait before its first token", Takes.SECONDS, "1"),
        Word("rate", Kind.PACE, "tokens per second of a stream", Takes.NUMBER, "50"),
        Word("echo", Kind.MANNER, "the last user message, exactly"),
        Word("fenced", Kind.MANNER, "the answer inside a Markdown code fence"),
        Word("tokens", Kind.MANNER, "a text of so many tokens", Takes.NUMBER, "1000"),
        Word("cached", Kind.MANNER, "so many input tokens came from a cache", Takes.NUMBER, "1"),
        Word("remaining", Kind.MANNER, "rate-limit headers with so many left", Takes.NUMBER, "0"),
        Word("refusal", Kind.ANSWER, "the model refuses"),
        Word("content-filter", Kind.ANSWER, "a filter stops it (Anthropic: a refusal)"),
        Word("length", Kind.ANSWER, "half the answer, cut by the token limit"),
        Word("window", Kind.ANSWER, "half the answer, cut by the context window"),
        Word("pause", Kind.ANSWER, "`pause_turn` (Anthropic; elsewhere healthy)"),
        Word("empty", Kind.ANSWER, "an answer without text"),
        Word("surrogate", Kind.ANSWER, "a lone surrogate within the text"),
        Word("nul", Kind.ANSWER, "a NUL within the text"),
        Word("bad-json", Kind.ANSWER, "text that is not JSON, also when asked to repair it"),
        Word("repairable", Kind.ANSWER, "broken JSON; valid once it is sent back for repair"),
        Word("tool-calls", Kind.ANSWER, "a tool call nobody asked for"),
        Word("duplicate-tools", Kind.ANSWER, "two tool calls with one id"),
        *(Word(name, Kind.ERROR, text, Takes.RETRY_AFTER) for name, text in errors.items()),
        Word("overloaded", Kind.ERROR, "the same as `529`", Takes.RETRY_AFTER),
        Word("malformed", Kind.BODY, "200 with half a JSON document"),
        Word("html", Kind.BODY, "200 with an HTML page"),
        Word("object", Kind.BODY, "200 with `{}`"),
        Word("choices-null", Kind.BODY, "200 with `choices` (Anthropic: `content`) null"),
        Word("wrong-types", Kind.BODY, "200 with a wrong type in every field"),
        Word("redirect", Kind.BODY, "to `/redirected`, which is logged", Takes.REDIRECT, "302"),
        Word("headers", Kind.BODY, "so many bytes of headers", Takes.NUMBER, "1000000"),
        Word("huge", Kind.BODY, "a body of so many MiB", Takes.NUMBER, "300"),
        Word("gzip-bomb", Kind.BODY, "so many MiB in a small gzip body", Takes.NUMBER, "1024"),
        Word("hang", Kind.CONNECTION, "nothing at all comes"),
        Word("drip", Kind.CONNECTION, "the body, one byte per interval", Takes.SECONDS, "0.5"),
        Word("comments", Kind.CONNECTION, "keep-alives for ever", Takes.SECONDS, "0.5"),
        Word("truncated", Kind.CONNECTION, "the connection closes within the body"),
        Word("cut", Kind.CONNECTION, "half the answer, ended politely, no terminal event"),
        Word("mid-error", Kind.CONNECTION, "half a stream, then an error event"),
        Word("reset", Kind.CONNECTION, "reset before the first byte"),
        Word("reset-headers", Kind.CONNECTION, "reset after the headers"),
        Word("reset-body", Kind.CONNECTION, "reset within the body"),
        Word("refuse", Kind.CONNECTION, "set for all calls: reset on connect; else `reset`"),
        Word("fail", Kind.WHEN, "only the first so many calls of a job", Takes.NUMBER, "1"),
        Word("once", Kind.WHEN, "the same as `fail-1`"),
    )


WORDS: dict[str, Word] = {word.name: word for word in _words()}

FAILURES = frozenset({Kind.ERROR, Kind.BODY, Kind.CONNECTION})

_SAME = {"slow": "latency", "overloaded": "529", "once": "fail"}


class UnknownBehaviour(ValueError):
    """A behaviour that cannot be read; the message says which word and which there are."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one call is answered.

    `told` is the text it was read from; `tokens_per_second` 0 means at once; `tokens` 0 means as
    long as the answer is; `answers` are the words of kind manner and answer; `failure` is the one
    word of kind error, body or connection, with its `argument`; `first_calls` 0 means every call.
    """

    told: str = ""
    latency_seconds: float = 0.0
    first_token_seconds: float = 0.0
    tokens_per_second: float = 0.0
    tokens: int = 0
    cached_tokens: int = 0
    remaining_requests: int | None = None
    answers: frozenset[str] = frozenset()
    failure: str = ""
    argument: str = ""
    first_calls: int = 0

    def for_call(self, number: int) -> Behaviour:
        """What the call of this number (from 1) within its job gets."""
        if number <= self.first_calls or not self.first_calls:
            return self
        manners = frozenset(name for name in self.answers if WORDS[name].kind is Kind.MANNER)
        return replace(self, answers=manners, failure="", argument="")


HEALTHY = Behaviour()


@lru_cache(maxsize=4096)
def of_model(model: str) -> Behaviour:
    """The behaviour a model's name asks for. Raises UnknownBehaviour."""
    name = model.lower()
    if match := _TOLD_IN_NAME.search(name):
        return read(match[1])
    told = name.rpartition("/")[2]
    return read(told) if all(_known(part) for part in _SEPARATOR.split(told)) else HEALTHY


@lru_cache(maxsize=4096)
def read(told: str) -> Behaviour:
    """The behaviour told by a header or a standing order. Raises UnknownBehaviour."""
    behaviour = Behaviour(told=told)
    for part in _SEPARATOR.split(told.strip().lower()):
        behaviour = _joined(behaviour, part.strip())
    misbehaves = behaviour.failure or any(
        WORDS[name].kind is Kind.ANSWER for name in behaviour.answers
    )
    if behaviour.first_calls and not misbehaves:
        return replace(behaviour, failure="500")
    return behaviour


def _joined(behaviour: Behaviour, part: str) -> Behaviour:
    if part.endswith(_ONCE):
        behaviour, part = replace(behaviour, first_calls=1), part.removesuffix(_ONCE)
    word, argument = _read_word(part)
    if word.kind in FAILURES:
        if behaviour.failure:
            raise UnknownBehaviour(f"one failure at a time: {behaviour.failure!r} and {part!r}")
        return replace(behaviour, failure=word.name, argument=argument)
    match word.name:
        case "latency":
            return replace(behaviour, latency_seconds=float(argument))
        case "first":
            return replace(behaviour, first_token_seconds=float(argument))
        case "rate":
            return replace(behaviour, tokens_per_second=float(argument))
        case "tokens":
            return replace(behaviour, tokens=int(float(argument)))
        case "cached":
            return replace(behaviour, cached_tokens=int(float(argument)))
        case "remaining":
            return replace(behaviour, remaining_requests=int(float(argument)))
        case "fail":
            return replace(behaviour, first_calls=int(float(argument)))
    return replace(behaviour, answers=behaviour.answers | {word.name})


def _known(part: str) -> bool:
    try:
        _read_word(part.removesuffix(_ONCE))
    except UnknownBehaviour:
        return False
    return True


def _read_word(part: str) -> tuple[Word, str]:
    """`"429-date-30"` → (the word 429, "date-30"): the longest name that is a word wins."""
    pieces = part.split("-")
    for end in range(len(pieces), 0, -1):
        word = WORDS.get("-".join(pieces[:end]))
        if word is not None:
            argument = _checked(word, "-".join(pieces[end:]), part)
            same = WORDS[_SAME.get(word.name, word.name)]
            return same, argument or word.default or same.default
    raise UnknownBehaviour(f"unknown behaviour {part!r}; known: {', '.join(sorted(WORDS))}")


def _checked(word: Word, argument: str, part: str) -> str:
    forms: dict[Takes, str | re.Pattern[str]] = {
        Takes.NOTHING: "",
        Takes.SECONDS: r"\d+(\.\d+)?",
        Takes.NUMBER: r"\d+(\.\d+)?",
        Takes.RETRY_AFTER: _RETRY_AFTER,
        Takes.REDIRECT: r"30[12378]",
    }
    if argument and not re.fullmatch(forms[word.takes], argument):
        raise UnknownBehaviour(f"{part!r}: {word.name} takes {word.takes or 'no argument'}")
    return argument
