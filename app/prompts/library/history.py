"""What differs between two versions of a prompt, and what uses it: outputs, and other prompts.

Rows of outputs know a prompt by its name. Whose it was is told by whose row it is and by when:
everybody's own prompt of a name goes before a shared one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from app import diffs
from app.accounts.caller import Caller
from app.prompts import documents
from app.prompts.definition import from_json
from app.prompts.library.finding import Found, find, get, number_before, visible
from models import LLMOutput, Prompt, PromptVersion

MOST_COUNTED = 10_000
"""Of more outputs only the newest so many are counted."""

MOST_SHOWN = 10
MOST_PROMPTS = 100

_OTHER = aliased(Prompt)


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs, as lines for people (`unified`), as pieces of the text written in YAML, and by
    place in the definition."""

    name: str
    before: int
    after: int
    unified: str
    text: diffs.TextDiff
    values: diffs.ValueDiff


@dataclass(frozen=True, slots=True)
class Use:
    """Outputs of each version and the newest of them, as far as the caller may see them; and the
    prompts that name this one as their task. `capped`: older outputs were not counted."""

    prompt: Prompt
    versions: Sequence[tuple[int | None, int]]
    newest: Sequence[Any]
    tasks: Sequence[Prompt]
    capped: bool = False


def diff(
    session: Session,
    caller: Caller,
    name: str,
    *,
    before: str | None = None,
    after: str = "latest",
    user_id: int | None = None,
) -> Diff:
    """Compare two versions, each a number or a label; `before` is the one before `after` unless it
    is named. Raises NotFound for an unknown one.
    """
    second = get(session, caller, f"{name}@{after}", user_id=user_id)
    if before is None:
        before = str(number_before(session, second.prompt, second.version.version) or 0)
    first = get(session, caller, f"{name}@{before}", user_id=user_id)
    texts = (_yaml(first), _yaml(second))
    names = (f"{name}@{first.version.version}", f"{name}@{second.version.version}")
    return Diff(
        name=first.prompt.name,
        before=first.version.version,
        after=second.version.version,
        unified=_unified(texts, names),
        text=diffs.of_texts(*texts),
        values=diffs.of_values(first.version.definition, second.version.definition),
    )


def used_by(session: Session, caller: Caller, name: str, *, user_id: int | None = None) -> Use:
    """What ran a prompt and what builds on it. Raises NotFound for an unknown one."""
    prompt = find(session, caller, name, user_id=user_id)
    ran = _ran(caller, prompt)
    newest = (
        select(LLMOutput.id, LLMOutput.prompt_version)
        .where(*ran)
        .order_by(LLMOutput.id.desc())
        .limit(MOST_COUNTED)
        .subquery()
    )
    counts = session.execute(
        select(newest.c.prompt_version, func.count())
        .group_by(newest.c.prompt_version)
        .order_by(newest.c.prompt_version.desc())
    ).all()
    rows = session.execute(
        select(
            LLMOutput.id,
            LLMOutput.job_id,
            LLMOutput.status,
            LLMOutput.prompt_version,
            LLMOutput.created_at,
        )
        .where(*ran)
        .order_by(LLMOutput.id.desc())
        .limit(MOST_SHOWN)
    ).all()
    versions = [(version, count) for version, count in counts]
    capped = sum(count for _, count in versions) == MOST_COUNTED
    return Use(prompt, versions, rows, _tasks(session, caller, prompt), capped)


def _yaml(found: Found) -> str:
    return documents.write(from_json(found.version.definition), documents.Source.YAML)


def _unified(texts: tuple[str, str], names: tuple[str, str]) -> str:
    """The change in lines, as `diff -u` writes it. Comparing very many lines costs too much."""
    lines = [text.splitlines() for text in texts]
    if max(map(len, lines)) > diffs.MOST_PARTS:
        return f"--- {names[0]}\n+++ {names[1]}\n(too long to be compared by lines)\n"
    changed = unified_diff(lines[0], lines[1], *names, lineterm="")
    return "".join(f"{line}\n" for line in changed)


def _ran(caller: Caller, prompt: Prompt) -> list[ColumnElement[bool]]:
    """The outputs a caller may see that ran this prompt: of its author, and, where it is shared, of
    everybody who had no prompt of the name at the time.
    """
    own = LLMOutput.user_id == prompt.user_id
    had_own = (
        select(_OTHER.id)
        .where(
            _OTHER.user_id == LLMOutput.user_id,
            _OTHER.name == prompt.name,
            _OTHER.created_at <= LLMOutput.created_at,
            or_(_OTHER.archived_at.is_(None), _OTHER.archived_at > LLMOutput.created_at),
        )
        .exists()
    )
    whose = or_(own, and_(LLMOutput.user_id.is_not(None), ~had_own)) if prompt.shared else own
    return [
        LLMOutput.prompt_name == prompt.name,
        LLMOutput.created_at >= prompt.created_at,
        true() if caller.is_admin else LLMOutput.user_id == caller.user_id,
        whose,
    ]


def _tasks(session: Session, caller: Caller, prompt: Prompt) -> Sequence[Prompt]:
    """The prompts whose newest version or draft names this one as its task, the newest first."""
    task = PromptVersion.definition["task"].as_string()
    own = Prompt.user_id == prompt.user_id
    had_own = (
        select(_OTHER.id)
        .where(
            _OTHER.user_id == Prompt.user_id,
            _OTHER.name == prompt.name,
            _OTHER.archived_at.is_(None),
        )
        .exists()
    )
    return session.scalars(
        select(Prompt)
        .join(PromptVersion, PromptVersion.prompt_id == Prompt.id)
        .where(
            visible(caller),
            Prompt.archived_at.is_(None),
            PromptVersion.version == Prompt.latest,
            or_(task == prompt.name, task.startswith(f"{prompt.name}@", autoescape=True)),
            or_(own, ~had_own) if prompt.shared else own,
        )
        .order_by(Prompt.id.desc())
        .limit(MOST_PROMPTS)
    ).all()
