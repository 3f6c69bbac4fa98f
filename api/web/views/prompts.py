"""The library of prompts: its list, one prompt with its versions and uses, diffs, downloads.

What changes a prompt is `prompt_acts`', writing one `prompt_editor`'s, importing `prompt_import`'s.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from api.documents import media_type
from api.web import api_calls, prompt_calls, render
from api.web.pages import Pages
from api.web.prompt_addresses import address_of, reference_of, whose
from api.web.visit import Visit
from app.errors import InvalidParameter, RequestError
from app.prompts import documents, library
from app.prompts.definition import from_json
from app.prompts.documents import Source
from app.prompts.library import Found

pages = Pages()

SHOWN = 50
MOST_VERSIONS = 100


@pages.get("/prompts")
def prompts(visit: Visit) -> Response:
    """One's own prompts and the shared ones, of an administrator's wish everybody's."""
    wanted = _wanted(visit)
    after = visit.query.get("after")
    try:
        with visit.runtime.database.read() as session:
            page = library.list_prompts(
                session, visit.caller, limit=SHOWN, after=after, **_filters(wanted)
            )
            found = library.describe_many(session, visit.caller, page.rows)
        refusal, following = None, page.next
    except InvalidParameter as error:
        refusal, found, following = error, [], None
    return visit.page(
        "prompts/list.html",
        place=address_of,
        status=refusal.status if refusal else 200,
        prompts=found,
        wanted=wanted,
        refusal=refusal,
        calls=api_calls.of_address(
            visit.base_url, "/api/v1/prompts", query=_asked(wanted), cli=prompt_calls.LIST
        ),
        next_address=following and render.address("prompts", after=following, **wanted),
        first_address=after and render.address("prompts", **wanted),
    )


@pages.get("/prompts/<name>")
def prompt(visit: Visit, name: str) -> Response:
    """A prompt: the version the address names (`?version=`, or `name@version`), or the usual."""
    return show(visit, name)


@pages.get("/prompts/<name>/diff")
def prompt_diff(visit: Visit, name: str) -> Response:
    """What differs between two versions; between the newest and the one before it."""
    before, after = visit.query.get("from") or None, visit.query.get("to") or "latest"
    user_id = whose(visit)
    with visit.runtime.database.read() as session:
        found = library.diff(
            session, visit.caller, name, before=before, after=after, user_id=user_id
        )
        versions = _versions(session, visit, name)
    query = {"from": found.before, "to": found.after, "user_id": user_id}
    return visit.page(
        "prompts/diff.html",
        place=address_of,
        diff=found,
        versions=versions,
        user_id=user_id,
        calls=api_calls.of_address(
            visit.base_url,
            f"/api/v1/prompts/{name}/diff",
            query=query,
            cli=prompt_calls.command("diff", name, str(found.before), str(found.after)),
        ),
    )


@pages.get("/prompts/<name>/download/<any(json,yaml,xml):written_as>")
def download_prompt(visit: Visit, name: str, written_as: str) -> Response:
    """A version's definition as a file, to be imported elsewhere."""
    source = Source(written_as)
    with visit.runtime.database.read() as session:
        found = _found(session, visit, name)
        stem = f"{found.prompt.name}-{found.version.version}"
        text = documents.write(from_json(found.version.definition), source)
    return Response(
        text,
        content_type=f"{media_type(source)}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{stem}.{source}"'},
    )


def show(
    visit: Visit, name: str, *, refusal: RequestError | None = None, archiving: bool = False
) -> Response:
    """The page of a prompt; with the sentence of a refusal, or with the question whether to archive
    it, at its top. Raises NotFound.
    """
    with visit.runtime.database.read() as session:
        found = _found(session, visit, name)
        shown = library.describe(session, visit.caller, found)
        versions = _versions(session, visit, found.prompt.name)
        use = library.used_by(
            session, visit.caller, found.prompt.name, user_id=found.prompt.user_id
        )
        tasks = library.describe_many(session, visit.caller, use.tasks)
    definition = from_json(shown["definition"])
    user_id = whose(visit)
    own = found.prompt.user_id == visit.caller.user_id
    return visit.page(
        "prompts/prompt.html",
        place=address_of,
        status=refusal.status if refusal else 200,
        prompt=shown,
        definition=definition,
        versions=versions,
        use=use,
        tasks=tasks,
        user_id=user_id,
        usable=shown["latest"] is not None and (own or shown["shared"]),
        may_change=library.may_change(visit.caller, found.prompt),
        reference=reference_of(shown),
        refusal=refusal,
        archiving=archiving,
        calls=prompt_calls.of_prompt(visit.base_url, shown, user_id=user_id),
        run=prompt_calls.of_job(visit.base_url, shown),
    )


def _found(session: Any, visit: Visit, name: str) -> Found:
    wanted = visit.query.get("version", "")
    reference = f"{name}@{wanted}" if wanted and "@" not in name else name
    return library.get(session, visit.caller, reference, user_id=whose(visit))


def _versions(session: Any, visit: Visit, name: str) -> list[dict[str, Any]]:
    page = library.list_versions(
        session, visit.caller, name, user_id=whose(visit), limit=MOST_VERSIONS
    )
    return library.describe_versions(session, page.rows)


def _wanted(visit: Visit) -> dict[str, str]:
    """The filters of the address that say something."""
    names = ("q", "shared", "label", *(("all",) if visit.caller.is_admin else ()))
    return {name: text for name in names if (text := visit.query.get(name, "").strip())}


def _filters(wanted: dict[str, str]) -> dict[str, Any]:
    shared = {"yes": True, "no": False}.get(wanted.get("shared", ""))
    return {
        "q": wanted.get("q"),
        "label": wanted.get("label"),
        "shared": shared,
        "all_users": wanted.get("all") == "1",
    }


def _asked(wanted: dict[str, str]) -> dict[str, str | int | bool | None]:
    """The same as `GET /api/v1/prompts` takes it."""
    filters = _filters(wanted)
    return {**filters, "all_users": filters["all_users"] or None}
