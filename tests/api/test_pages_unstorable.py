"""Texts that PostgreSQL refuses (NUL), wherever a page takes a text: refused, never a crash."""

from __future__ import annotations

from tests.api.house import House
from tests.api.visiting import signed_in, visitor

QUERIES = (
    "/llm_outputs?model=%00",
    "/llm_outputs?user=%00",
    "/llm_outputs/many?act=cancel&which=matching&q=%00",
    "/llm_outputs/export?which=matching&template=%00",
    "/llm_outputs/new?template=%00&model=%00",
    "/compare/%00?ids=1",
    "/tasks/%00",
    "/analytics?model=%00",
    "/analytics?prompt=%00",
    "/analytics?user=%00",
    "/analytics/compare?by=model&first=%00&second=x",
    "/analytics/groups.csv?model=%00",
    "/admin/users?find=%00",
    "/admin/audit?action=%00",
    "/admin/prices?provider=%00&model=%00",
    "/admin/providers?tried=%00",
    "/prompts?q=%00&label=%00&after=%00",
    "/prompts/%00?version=%00&user_id=%00",
    "/prompts/%00/diff?from=%00&to=%00",
    "/prompts/new?from=%00",
    "/queues/pause?kind=model&name=%00",
    "/queues/failed/%00",
)
FORMS = (
    ("/account/keys", {"name": "\x00", "life": "\x00"}),
    ("/admin/keys", {"name": "x", "owner": "\x00", "life": ""}),
    ("/admin/users", {"email": "\x00@example.org", "role": "\x00"}),
    ("/admin/users", {"email": "n@example.org", "name": "\x00", "role": "member", "plan": "\x00"}),
    ("/admin/prices", {"provider": "\x00", "model": "\x00", "input_per_million": "1"}),
    ("/admin/providers/try", {"model": "\x00"}),
    ("/queues/pause", {"kind": "model", "name": "a\x00b", "reason": "\x00"}),
    ("/queues/resume", {"kind": "model", "name": "\x00"}),
    ("/queues/failed/%00", {}),
    ("/llm_outputs/views", {"name": "\x00", "next": "/llm_outputs?q=%00"}),
    ("/llm_outputs/new", {"template": "\x00", "model": "\x00", "queue": "\x00"}),
    ("/prompts/new", {"name": "\x00", "role": "user", "content": "\x00", "do": "publish"}),
    ("/prompts/new", {"written_as": "yaml", "yaml": "\x00", "do": "draft"}),
    ("/prompts/new/preview", {"role": "\x00", "content": "{{\x00}}", "workitem": "\x00"}),
    ("/prompts/import", {"text": "\x00", "name": "\x00"}),
    ("/prompts/import", {"definitions": "\x00", "do": "store"}),
    ("/llm_outputs/many", {"ids": "\x00", "act": "\x00"}),
    ("/account/password", {"current": "\x00", "new": "\x00"}),
)


def test_no_text_makes_a_page_crash_whatever_the_database_refuses(house: House) -> None:
    ada = signed_in(house, house.ada)
    asked = {path: ada.get(path).status_code for path in QUERIES}
    sent = {(path, *form): ada.post(path, data=form).status_code for path, form in FORMS}
    crashed = {where: status for where, status in {**asked, **sent}.items() if status >= 500}
    assert not crashed


def test_no_text_makes_the_sign_in_crash(house: House) -> None:
    for form in (
        {"email": "\x00@example.org", "password": "\x00"},
        {"email": "x", "next": "/\x00"},
    ):
        assert visitor(house).post("/sign-in", data=form).status_code == 401
