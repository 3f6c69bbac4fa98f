"""What the simulated model says: useful, per format, and the same for the same question.

The format is the one the request's parameters ask for, else the one its words mention last, in
the system message first; who is asked for true or false there says nothing else. An object written
out as an example is answered with one of the same members. Nothing here knows a wire.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from typing import Any

from app.simulator.behaviour import Behaviour
from app.simulator.question import End, Question, Rejected, Said, tokens
from app.simulator.schema_value import value_for

_FORMAT = re.compile(r"\b(json|xml|markdown|html)\b", re.IGNORECASE)
_TRUE_OR_FALSE = re.compile(
    r"\b(?:true\W{1,3}(?:or\W{1,3})?false|false\W{1,3}(?:or\W{1,3})?true)\b", re.IGNORECASE
)
_NEGATION = re.compile(r"\b(?:not|no|never|none|false)\b|n't\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{5,}")
_REPAIR_ME = re.compile(r'"repairable\\*": yes')
"""Found in a prompt, it is our own broken answer sent back, quoted or not."""

_OBJECT = re.compile(r'\{\s*"')
_SCHEMA_WORDS = {"type", "properties"}
"""An object with these says how an answer looks, and is none."""

_LEAD_WORDS = 30
_READ_CHARACTERS = 4000
"""As much of a prompt as the answer is made from, so that a long one costs no more."""

REFUSAL = "I can't help with that request."


def say(question: Question, behaviour: Behaviour, *, number: int) -> Said:
    """The answer to a question. Raises Rejected for a schema that cannot be answered."""
    words = behaviour.answers
    text, end = _limited(_text(question, behaviour), question.limit)
    if "empty" in words:
        text, end = "", End.DONE
    if "length" in words or "window" in words:
        text, end = text[: len(text) // 2], End.LENGTH if "length" in words else End.WINDOW
    if "refusal" in words:
        text, end = REFUSAL, End.REFUSED
    if "content-filter" in words:
        text, end = "", End.FILTERED
    if "pause" in words:
        end = End.PAUSED
    tools: tuple[str, ...] = ()
    if "tool-calls" in words or "duplicate-tools" in words:
        first, second = f"call_{number}", f"call_{number}"
        tools = (first, second) if "duplicate-tools" in words else (first,)
        text, end = "", End.TOOL
    asked = question.input_tokens
    return Said(number, text, end, asked, min(behaviour.cached_tokens, asked), tools)


def _text(question: Question, behaviour: Behaviour) -> str:
    words = behaviour.answers
    if "echo" in words:
        return question.prompt
    if "bad-json" in words:
        return 'Here is the JSON you asked for: {"summary": '
    lead = _lead(question.prompt)
    odd = "surrogate" in words or "nul" in words
    if odd:
        lead = ("\ud800" if "surrogate" in words else "\x00") + lead
    if "repairable" in words and not _REPAIR_ME.search(question.prompt):
        return f'{{"summary": {json.dumps(lead)}, "repairable": yes'
    if behaviour.tokens:
        return _of_length(lead, behaviour.tokens)
    form = "json" if "repairable" in words else _form(question)
    text = _FORMS[form](question, lead, odd)
    return f"```{form}\n{text}\n```" if "fenced" in words else text


def _form(question: Question) -> str:
    if question.json or question.schema is not None:
        return "json"
    system = " ".join(text for role, text in question.messages if role == "system")
    for text in (system, question.prompt[:_READ_CHARACTERS], question.prompt[-_READ_CHARACTERS:]):
        if mentioned := _FORMAT.findall(text):
            return str(mentioned[-1]).lower()
        if _TRUE_OR_FALSE.search(text):
            return "boolean"
    return "text"


def _lead(prompt: str) -> str:
    """The beginning of a prompt, on one line."""
    words = prompt[:_READ_CHARACTERS].split()
    lead = " ".join(words[:_LEAD_WORDS])
    return lead + " …" if len(words) > _LEAD_WORDS else lead


def _keywords(prompt: str) -> list[str]:
    counted = Counter(word.lower() for word in _WORD.findall(prompt[:_READ_CHARACTERS]))
    return [word for word, _ in counted.most_common(3)]


def _as_text(question: Question, lead: str, _odd: bool) -> str:
    return f"In short: {lead} ({len(question.prompt)} characters read.)"


def _as_json(question: Question, lead: str, odd: bool) -> str:
    value: Any = {
        "summary": lead,
        "keywords": _keywords(question.prompt),
        "characters": len(question.prompt),
    }
    if question.schema is not None:
        value = _value(question.schema, lead)
    elif example := _example(question):
        value = {name: lead if one in ("", None) else one for name, one in example.items()}
    return json.dumps(value, ensure_ascii=odd)


def _example(question: Question) -> dict[str, Any]:
    """The first JSON object that is written out in the words; empty when there is none."""
    for _, text in question.messages:
        read = text[:_READ_CHARACTERS]
        for start in (match.start() for match in _OBJECT.finditer(read)):
            try:
                found, _ = json.JSONDecoder().raw_decode(read, start)
            except (ValueError, RecursionError):
                continue
            if not found.keys() >= _SCHEMA_WORDS:
                return dict(found)
    return {}


def _value(schema: Any, lead: str) -> Any:
    try:
        return value_for(schema, lead)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise Rejected(f"Invalid schema for the response format: {error}", param="schema") from None


def _as_xml(question: Question, lead: str, _odd: bool) -> str:
    words = "".join(
        f"<keyword>{html.escape(word)}</keyword>" for word in _keywords(question.prompt)
    )
    summary = f"<summary>{html.escape(lead)}</summary>"
    return f"<answer>{summary}{words}<characters>{len(question.prompt)}</characters></answer>"


def _as_boolean(question: Question, _lead: str, _odd: bool) -> str:
    """A question that denies something is answered with false, any other with true."""
    return "false" if _NEGATION.search(question.prompt[:_READ_CHARACTERS]) else "true"


def _as_markdown(question: Question, lead: str, _odd: bool) -> str:
    title = " ".join(lead.split()[:6]).strip("# ") or "Answer"
    points = _keywords(question.prompt) or ["nothing to point out"]
    listed = "\n".join(f"- **{word}**" for word in points)
    return f"# {title}\n\n{lead}\n\n{listed}\n\n_{len(question.prompt)} characters read._"


def _as_html(question: Question, lead: str, _odd: bool) -> str:
    title = html.escape(" ".join(lead.split()[:6]) or "Answer")
    listed = "".join(f"<li>{html.escape(word)}</li>" for word in _keywords(question.prompt))
    return f"<h1>{title}</h1>\n<p>{html.escape(lead)}</p>\n<ul>{listed}</ul>"


_FORMS = {
    "text": _as_text,
    "json": _as_json,
    "xml": _as_xml,
    "markdown": _as_markdown,
    "html": _as_html,
    "boolean": _as_boolean,
}


def _of_length(lead: str, wanted: int) -> str:
    sentence = f"{lead or 'text'}. "
    return (sentence * (wanted * 4 // len(sentence) + 1))[: wanted * 4]


def _limited(text: str, limit: int | None) -> tuple[str, End]:
    if limit is not None and tokens(len(text)) > limit:
        return text[: limit * 4], End.LENGTH
    return text, End.DONE
