"""Importing prompts: files or a pasted text are read, what would be stored is shown, and a second
button stores it.

What was read travels in the second form as the definitions' canonical JSON, so nothing is kept for
whoever does not go on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from flask import Response, request
from sqlalchemy.orm import Session

from api.documents import MAX_FORM_BYTES
from api.web import prompt_calls, render
from api.web.pages import Pages
from api.web.visit import Visit
from app.errors import InvalidParameter, NotFound, PromptRefused, RequestError
from app.prompts import documents, library
from app.prompts.definition import Definition, from_json
from app.prompts.documents import Source
from app.prompts.library import Found
from app.prompts.library.checking import checked, doubts, same
from app.prompts.notation import json_value

pages = Pages()

_SUFFIXES = {
    ".json": Source.JSON,
    ".yaml": Source.YAML,
    ".yml": Source.YAML,
    ".xml": Source.XML,
    ".bpmn": Source.BPMN,
}
_BPMN = b"http://www.omg.org/spec/BPMN/"


@dataclass(frozen=True, slots=True)
class Planned:
    """What storing a definition would do: `becomes` is the number of the version, `unchanged` that
    this version says so already."""

    definition: Definition
    becomes: int
    unchanged: bool
    is_new: bool


@pages.get("/prompts/import")
def import_prompts(visit: Visit) -> Response:
    """The form."""
    return _form(visit)


@pages.post("/prompts/import", most_bytes=MAX_FORM_BYTES)
def import_prompts_now(visit: Visit) -> Response:
    """Show what would be stored; or, from that page, store it."""
    if visit.form.get("do") == "store":
        return _store(visit)
    try:
        found, warnings = _read_all(visit)
        ready = checked(found)
    except RequestError as refusal:
        return _form(visit, refusal)
    draft = visit.form.get("draft") == "yes"
    with visit.runtime.database.read() as session:
        plan = [_planned(session, visit, definition, draft=draft) for definition in ready]
        warnings += [text for one in ready for text in doubts(session, visit.caller, one)]
    return visit.page(
        "prompts/import_plan.html",
        plan=plan,
        warnings=warnings,
        written=json.dumps([definition.to_json() for definition in ready], ensure_ascii=False),
        draft=draft,
        calls=prompt_calls.of_import(visit.base_url),
    )


def _store(visit: Visit) -> Response:
    draft = visit.form.get("draft") == "yes"
    try:
        values = json_value(visit.form.get("definitions", ""), what="What was read")
        definitions = [from_json(value) for value in (values if isinstance(values, list) else [])]
        with visit.runtime.database.write() as session:
            stored = library.store(session, visit.caller, definitions, publish=not draft)
            made = [one for one in stored if not one.unchanged]
            same_already = len(stored) - len(made)
    except (PromptRefused, InvalidParameter) as refusal:
        return _form(visit, refusal)
    said = f"{_counted(len(made))} stored{' as drafts' if draft and made else ''}"
    said += f", {_counted(same_already)} unchanged." if same_already else "."
    return visit.go(render.address("prompts"), said=said)


def _read_all(visit: Visit) -> tuple[list[Definition], list[str]]:
    """Every definition of the files and of the text, and what was left out of them."""
    name = visit.form.get("name", "").strip()
    found: list[Definition] = []
    warnings: list[str] = []
    for data, source, stem in _documents(visit):
        read = documents.read(data, source, name=name or stem)
        found += read.definitions
        warnings += read.warnings
    return found, warnings


def _documents(visit: Visit) -> list[tuple[bytes, Source, str]]:
    files = [file for file in request.files.getlist("file") if file.filename]
    sent = [_of_file(file.filename or "", file.read()) for file in files]
    text = visit.form.get("text", "").replace("\r\n", "\n").encode("utf-8", "replace")
    if text.strip():
        sent.append((text, _guessed(text), ""))
    if not sent:
        raise InvalidParameter("Choose a file, or paste a definition", pointer="/file")
    return sent


def _of_file(filename: str, data: bytes) -> tuple[bytes, Source, str]:
    path = PurePosixPath(filename.replace("\\", "/"))
    source = _SUFFIXES.get(path.suffix.lower())
    if source is None:
        raise InvalidParameter(
            f"Invalid file {path.name[:100]!r}: its name must end in {', '.join(_SUFFIXES)}",
            pointer="/file",
        )
    return data, Source.BPMN if source is Source.XML and _BPMN in data else source, path.stem


def _guessed(text: bytes) -> Source:
    """Which way a pasted text is written: XML begins with a tag; JSON with a brace, and what YAML
    makes of that is the same."""
    if text.lstrip().startswith(b"<"):
        return Source.BPMN if _BPMN in text else Source.XML
    return Source.JSON if text.lstrip()[:1] in (b"{", b"[") else Source.YAML


def _planned(session: Session, visit: Visit, definition: Definition, *, draft: bool) -> Planned:
    """As `library.store` decides it, without deciding anything."""
    latest = _version(session, visit, f"{definition.name}@latest")
    begun = _version(session, visit, f"{definition.name}@draft")
    written = definition.to_json()
    if draft and begun is not None:
        there = begun.version
        return Planned(definition, there.version, same(there.definition, written), is_new=False)
    if latest is not None and same(latest.version.definition, written):
        return Planned(definition, latest.version.version, unchanged=True, is_new=False)
    if begun is not None and same(begun.version.definition, written):
        newest = begun.prompt.latest or 0
        if begun.version.version > newest:
            return Planned(definition, begun.version.version, unchanged=False, is_new=False)
    there_is = latest or begun
    number = there_is.prompt.last_number if there_is else 0
    return Planned(definition, number + 1, unchanged=False, is_new=there_is is None)


def _version(session: Session, visit: Visit, reference: str) -> Found | None:
    try:
        return library.get(session, visit.caller, reference, user_id=visit.caller.user_id)
    except NotFound:
        return None


def _form(visit: Visit, refusal: RequestError | None = None) -> Response:
    return visit.page(
        "prompts/import.html",
        status=refusal.status if refusal else 200,
        refusal=refusal,
        given=visit.form,
        suffixes=",".join(_SUFFIXES),
        calls=prompt_calls.of_import(visit.base_url),
    )


def _counted(number: int) -> str:
    return f"{number} prompt{'' if number == 1 else 's'}"
