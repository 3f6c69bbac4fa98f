"""Endpoints are registered by administrators, leave a trace, hold no secret, and are routed to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select

from app.accounts import Caller
from app.db import Database
from app.endpoint_settings import Origin
from app.endpoints import (
    ShownEndpoint,
    change_endpoint,
    create_endpoint,
    endpoint_source,
    get_endpoint,
    list_endpoints,
    match_endpoint,
    remove_endpoint,
)
from app.errors import (
    Conflict,
    Forbidden,
    InvalidParameter,
    NotFound,
    Unavailable,
    UnsupportedModel,
)
from app.providers import registry
from app.providers.registry import EndpointSource, Route, resolve
from app.runtime import Runtime
from app.settings import Settings
from models import AuditEvent, RegisteredEndpoint

ACME: dict[str, Any] = {
    "name": "acme",
    "base_url": "https://models.example.com/v1",
    "model": "qwen",
    "options": {"top_k": 20, "secret": "canary-option"},
    "timeout_seconds": 30,
    "api_key_variable": "LLM_ENDPOINT_ACME_KEY",
}


@pytest.fixture
def own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with endpoints of their own, in an environment with one key."""
    monkeypatch.setenv("LLM_ENDPOINT_ACME_KEY", "canary-key")
    return Settings(
        DATABASE_URL=settings.database_url,
        LLM_JOBS_ENDPOINTS={
            "local": {
                "base_url": "http://127.0.0.1:9/v1?key=canary",
                "api_key": "canary",
                "options": {"extra": "canary", "top_k": 3},
            }
        },
        LLM_SERVICE_ENDPOINT="http://service:8000",
        LLM_SERVICE_ENDPOINT_USER="ann",
        LLM_SERVICE_ENDPOINT_PASSWORD="canary",
    )


@pytest.fixture
def source(database: Database, own: Settings) -> Iterator[EndpointSource]:
    """The source of this process, as a runtime sets it."""
    made = endpoint_source(database)
    registry.set_endpoint_source(own.database_url, made)
    yield made
    registry.drop_endpoint_source(made)


def create(database: Database, caller: Caller, own: Settings, **facts: Any) -> ShownEndpoint:
    with database.write() as session:
        return create_endpoint(session, caller, settings=own, **(ACME | facts))


def change(database: Database, caller: Caller, own: Settings, **changes: Any) -> ShownEndpoint:
    name = changes.pop("name", "acme")
    with database.write() as session:
        return change_endpoint(session, caller, settings=own, name=name, **changes)


def remove(database: Database, caller: Caller, own: Settings, name: str = "acme") -> None:
    with database.write() as session:
        remove_endpoint(session, caller, settings=own, name=name)


def listed(database: Database, caller: Caller, own: Settings) -> dict[str, ShownEndpoint]:
    with database.read() as session:
        return {one.name: one for one in list_endpoints(session, caller, settings=own)}


def trail(database: Database) -> list[AuditEvent]:
    with database.read() as session:
        found = select(AuditEvent).where(AuditEvent.action.like("endpoint.%"))
        return list(session.scalars(found.order_by(AuditEvent.id)))


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that are sent within the block."""
    sent: list[str] = []

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_registered_endpoint_is_kept_as_it_was_given(
    database: Database, admin: Caller, own: Settings
) -> None:
    made = create(database, admin, own)
    assert (made.source, made.authentication, made.usable) == (Origin.STORED, "bearer", True)
    assert made.variables == {"LLM_ENDPOINT_ACME_KEY": True}
    assert {name: getattr(made, name) for name in ACME} == ACME
    assert listed(database, admin, own)["acme"] == made
    with database.read() as session:
        assert get_endpoint(session, admin, settings=own, name="acme") == made


def test_no_secret_is_stored_or_shown(database: Database, admin: Caller, own: Settings) -> None:
    create(database, admin, own)
    change(database, admin, own, options={"secret": "canary-option"}, model=None)
    remove(database, admin, own)
    told = json.dumps([event.details for event in trail(database)])
    assert "canary" not in told
    assert "LLM_ENDPOINT_ACME_KEY" in told
    create(database, admin, own, options=None)
    assert "canary" not in repr(listed(database, admin, own))
    with database.read() as session:
        row = session.scalars(select(RegisteredEndpoint)).one()
        assert "canary" not in repr(vars(row))


def test_the_endpoints_of_the_settings_are_listed_first(
    database: Database, admin: Caller, own: Settings
) -> None:
    create(database, admin, own)
    found = listed(database, admin, own)
    assert [(name, one.source) for name, one in found.items()] == [
        ("local", Origin.SETTINGS),
        ("llm-service", Origin.SERVICE),
        ("acme", Origin.STORED),
    ]
    assert found["local"].options == {"extra": "…", "top_k": 3}
    assert (found["local"].authentication, found["local"].variables) == ("bearer", {})
    assert found["llm-service"].authentication == "basic"
    assert found["llm-service"].variables == {
        "LLM_SERVICE_ENDPOINT_USER": True,
        "LLM_SERVICE_ENDPOINT_PASSWORD": True,
    }


@pytest.mark.parametrize("name", ["local", "llm-service"])
def test_an_endpoint_of_the_settings_is_changed_where_it_is_set(
    database: Database, admin: Caller, own: Settings, name: str
) -> None:
    where = own.registered_endpoints[name].origin.setting
    with pytest.raises(Conflict, match=f"{name} is set in {where}: change it there"):
        change(database, admin, own, name=name, model="m")
    with pytest.raises(Conflict, match=where):
        remove(database, admin, own, name)
    with pytest.raises(Conflict, match=f"{name} is taken"):
        create(database, admin, own, name=name)


def test_a_name_is_registered_once(database: Database, admin: Caller, own: Settings) -> None:
    create(database, admin, own)
    with pytest.raises(Conflict, match="The name acme is taken") as caught:
        create(database, admin, own, base_url="https://other.example.com/v1")
    assert caught.value.pointer == "/name"
    assert listed(database, admin, own)["acme"].base_url == ACME["base_url"]
    assert len(trail(database)) == 1


def test_only_what_is_named_is_changed(database: Database, admin: Caller, own: Settings) -> None:
    made = create(database, admin, own)
    changed = change(database, admin, own, model="llama", timeout_seconds=None)
    assert (changed.model, changed.timeout_seconds) == ("llama", None)
    assert (changed.base_url, changed.options) == (made.base_url, made.options)
    assert changed.updated_at is not None
    assert changed.created_at == made.created_at


def test_a_change_that_cannot_be_changes_nothing(
    database: Database, admin: Caller, own: Settings
) -> None:
    made = create(database, admin, own)
    for wrong in ({"base_url": "http://10.0.0.1/"}, {"api_key_variable": "DATABASE_URL"}):
        with pytest.raises(InvalidParameter):
            change(database, admin, own, model="llama", **wrong)
    with pytest.raises(InvalidParameter, match="a password needs a user"):
        change(database, admin, own, password_variable="LLM_ENDPOINT_ACME_PASSWORD")
    assert listed(database, admin, own)["acme"] == made


def test_each_act_is_recorded(database: Database, admin: Caller, own: Settings) -> None:
    create(database, admin, own)
    change(database, admin, own, model="llama")
    remove(database, admin, own)
    events = trail(database)
    assert [event.action for event in events] == [
        "endpoint.created",
        "endpoint.changed",
        "endpoint.removed",
    ]
    assert {event.subject for event in events} == {"endpoint:acme"}
    assert {event.user_id for event in events} == {admin.user_id}
    told = {name: value for name, value in ACME.items() if name != "name"}
    assert events[0].details == {**told, "options": ["secret", "top_k"]}
    assert events[1].details == {"model": "llama"}


def test_members_may_do_nothing_with_endpoints(
    database: Database, admin: Caller, alice: Caller, own: Settings
) -> None:
    create(database, admin, own)
    for act in (create, change, remove, listed):
        with pytest.raises(Forbidden):
            act(database, alice, own)
    with database.read() as session, pytest.raises(Forbidden):
        get_endpoint(session, alice, settings=own, name="acme")


def test_an_endpoint_that_is_not_there_is_not_found(
    database: Database, admin: Caller, own: Settings
) -> None:
    for act in (change, remove):
        with pytest.raises(NotFound, match="Unknown endpoint: acme"):
            act(database, admin, own)
        with pytest.raises(NotFound):
            act(database, admin, own, name="\x00\ud800")


def test_a_new_endpoint_is_routed_to_at_once(
    database: Database, admin: Caller, own: Settings, source: EndpointSource
) -> None:
    with pytest.raises(UnsupportedModel):
        resolve("acme/qwen", own)
    create(database, admin, own)
    route = resolve("acme/qwen", own)
    assert (route.provider, route.model, route.timeout_seconds) == ("acme", "qwen", 30)
    assert match_endpoint(own, "https://models.example.com") == "acme"
    assert source()["acme"].api_key is not None


def test_another_process_finds_a_new_endpoint_at_once_and_a_change_soon(
    database: Database, admin: Caller, own: Settings
) -> None:
    other = endpoint_source(database)
    assert other() == {}
    create(database, admin, own)
    assert other() == {}
    assert "acme" in other(fresh=True)
    change(database, admin, own, model="llama")
    assert other()["acme"].model == "qwen"
    other.forget()
    assert other()["acme"].model == "llama"


def test_a_removed_endpoint_is_routed_to_no_longer(
    database: Database, admin: Caller, own: Settings, source: EndpointSource
) -> None:
    create(database, admin, own)
    assert resolve("acme/qwen", own)
    remove(database, admin, own)
    with pytest.raises(UnsupportedModel):
        resolve("acme/qwen", own)


def test_an_act_that_is_undone_is_not_known(
    database: Database, admin: Caller, own: Settings, source: EndpointSource
) -> None:
    create(database, admin, own)
    assert source()["acme"].model == "qwen"
    with database.write() as session:
        change_endpoint(session, admin, settings=own, name="acme", model="llama")
        session.rollback()
    assert source(fresh=True)["acme"].model == "qwen"


def test_routing_does_not_ask_the_database_each_time(
    database: Database, admin: Caller, own: Settings, source: EndpointSource
) -> None:
    create(database, admin, own)
    resolve("acme/qwen", own)
    with counted(database) as sent:
        for number in range(50):
            resolve(f"acme/qwen-{number}", own)
            resolve("local/x", own)
            match_endpoint(own, "https://models.example.com/")
    assert sent == []


def test_an_endpoint_whose_variable_is_not_set_is_refused(
    database: Database,
    admin: Caller,
    own: Settings,
    source: EndpointSource,
) -> None:
    made = create(database, admin, own, api_key_variable="LLM_ENDPOINT_OTHER_KEY")
    assert (made.variables, made.usable) == ({"LLM_ENDPOINT_OTHER_KEY": False}, False)
    with pytest.raises(UnsupportedModel, match="set LLM_ENDPOINT_OTHER_KEY"):
        resolve("acme/qwen", own)


def test_a_key_goes_before_user_and_password(
    database: Database, admin: Caller, own: Settings
) -> None:
    basic = {
        "user_variable": "LLM_ENDPOINT_ACME_USER",
        "password_variable": "LLM_ENDPOINT_ACME_PASSWORD",
    }
    variables = {basic["user_variable"]: "ann", basic["password_variable"]: "pw"}
    made = create(database, admin, own, api_key_variable=None, **basic)
    assert made.authentication == "basic"
    source = endpoint_source(database, variables)
    found = source()["acme"]
    assert (found.user, found.api_key, found.unset) == ("ann", None, ())
    change(database, admin, own, api_key_variable="LLM_ENDPOINT_ACME_KEY")
    both = endpoint_source(database, {**variables, "LLM_ENDPOINT_ACME_KEY": "k"})()["acme"]
    assert (both.user, both.password) == (None, None)
    assert both.api_key is not None


def test_a_database_that_is_away_leaves_what_is_known(
    database: Database, admin: Caller, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(database, admin, own)
    source, unread = endpoint_source(database), endpoint_source(database)
    assert "acme" in source()
    source.forget()

    def away() -> Any:
        raise Unavailable("The database is not available")

    monkeypatch.setattr(database, "read", away)
    assert "acme" in source()
    with pytest.raises(Unavailable):  # not known is not the same as not there
        source(fresh=True)
    with pytest.raises(Unavailable):
        unread()


def test_without_its_table_nothing_is_registered(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    assert endpoint_source(database)() == {}
    database.dispose()


def test_a_row_changed_by_hand_hides_no_other(
    database: Database, admin: Caller, own: Settings
) -> None:
    create(database, admin, own)
    with database.write() as session:
        session.add(RegisteredEndpoint(name="broken", base_url="nonsense"))
    assert list(endpoint_source(database)()) == ["acme"]


def test_a_runtime_knows_the_endpoints_of_its_database_until_it_is_closed(
    database: Database, admin: Caller, own: Settings
) -> None:
    create(database, admin, own)
    runtime = Runtime.from_settings(own)
    assert resolve("acme/qwen", own) == Route(
        "acme", "qwen", resolve("acme/qwen", own).bucket, timeout_seconds=30
    )
    runtime.close()
    with pytest.raises(UnsupportedModel):
        resolve("acme/qwen", own)
