"""What the API's tests stand on: an application, four people, a client that checks the contract.

alice owns, bob shares nothing with her, charlie must not even learn that her rows exist, ada
administrates. Each response a test gets is held against the OpenAPI document: its status, its media
type and its body must be documented for that operation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from sqlalchemy import text
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api import openapi
from api.app import create_app, endpoints
from api.errors import PROBLEM
from app import accounts, lifecycle
from app.db import Database
from app.lifecycle import Claim, Completed, Delivery, Failed
from app.runtime import Runtime
from app.settings import Settings
from models import Base, Role

SIMULATED = {"LLM_JOBS_SIMULATOR_URL": "http://127.0.0.1:9", "LLM_JOBS_SIMULATE_MISSING": True}
FRAMED = {
    "LLM_JOBS_EMBED_HOSTS": "https://app.example.org",
    "LLM_JOBS_SECRET_KEY": "a secret of these tests",
}
SEED = {
    "template": "Explain {{concept}} to a beginner",
    "model": "gpt-4",
    "context": {"concept": "machine learning"},
    "format": "text",
}
JOBS = "/api/v1/llm_jobs"
OUTPUTS = "/api/v1/llm_outputs"


@dataclass(frozen=True)
class Person:
    """Somebody with a key."""

    name: str
    user_id: int
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass
class House:
    """A running application without a server, and the parts behind it."""

    runtime: Runtime
    app: Flask
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def alice(self) -> Person:
        return self.people["alice"]

    @property
    def bob(self) -> Person:
        return self.people["bob"]

    @property
    def charlie(self) -> Person:
        return self.people["charlie"]

    @property
    def ada(self) -> Person:
        return self.people["ada"]

    @property
    def database(self) -> Database:
        return self.runtime.database

    def call(
        self, method: str, path: str, *, as_: Person | None = None, check: bool = True, **kw: Any
    ) -> TestResponse:
        """One request, with `as_`'s key. `check=False` skips the comparison with the document."""
        headers = {**(as_.headers if as_ else {}), **kw.pop("headers", {})}
        client: FlaskClient = self.app.test_client()
        response = client.open(path, method=method, headers=headers, **kw)
        if check:
            assert_documented(self.app, method, path, response)
        return response

    def get(self, path: str, **kw: Any) -> TestResponse:
        return self.call("GET", path, **kw)

    def post(self, path: str, **kw: Any) -> TestResponse:
        return self.call("POST", path, **kw)

    def submit(self, as_: Person | None = None, **changes: Any) -> dict[str, Any]:
        """An accepted job's answer."""
        response = self.post(JOBS, as_=as_ or self.alice, json={**SEED, **changes})
        assert response.status_code == 201, response.text
        return dict(response.get_json())

    def key_for(self, person: Person, scopes: list[str] | None) -> Person:
        """The same person with another key."""
        with self.database.write() as session:
            made = accounts.create_key(session, person.user_id, scopes=scopes)
        return Person(person.name, person.user_id, made.text)

    # What a worker would do

    def claim(self, job: dict[str, Any]) -> Claim:
        """Take a row as a worker takes it."""
        delivery = Delivery(job["output_id"], job["job_id"])
        with self.database.write() as session:
            taken = lifecycle.claim(session, [delivery], worker="w1", lease_seconds=60)
        return taken[job["output_id"]]

    def complete(self, job: dict[str, Any], text: str = "It learns from examples.") -> None:
        """End a row with an answer, and say so, as a worker does."""
        claim = self.claim(job)
        end = Completed(output_id=claim.output_id, fence=claim.fence, prompt="…", raw_response=text)
        with self.database.write() as session:
            ended = lifecycle.complete(session, [end])
        self.runtime.events.announce(list(ended.values()))

    def fail(self, job: dict[str, Any]) -> None:
        claim = self.claim(job)
        end = Failed(
            output_id=claim.output_id, fence=claim.fence, error_code="x", error_message="no"
        )
        with self.database.write() as session:
            lifecycle.fail(session, [end])

    def ended(self, as_: Person | None = None, **changes: Any) -> dict[str, Any]:
        """A completed job of somebody's."""
        job = self.submit(as_, **changes)
        self.complete(job)
        return job


@contextmanager
def open_house(database_url: str, redis_url: str, **changes: Any) -> Iterator[House]:
    """An application on these servers, with everybody in it."""
    settings = Settings(
        DATABASE_URL=database_url, REDIS_URL=redis_url, **{**SIMULATED, **FRAMED, **changes}
    )
    runtime = Runtime.from_settings(settings, threads=10)
    try:
        yield House(runtime, create_app(runtime), move_in(runtime.database))
    finally:
        runtime.close()


def empty(database: Database) -> None:
    """Take every row out of every table; counters begin anew."""
    with database.write() as session:
        if database.dialect == "postgresql":
            names = ", ".join(table.name for table in Base.metadata.sorted_tables)
            session.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
            return
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(text(f"DELETE FROM {table.name}"))
        session.execute(text("DELETE FROM sqlite_sequence"))


def move_in(database: Database) -> dict[str, Person]:
    """alice, bob, charlie and ada, each with a key."""
    people: dict[str, Person] = {}
    with database.write() as session:
        for name in ("alice", "bob", "charlie", "ada"):
            role = Role.ADMIN if name == "ada" else Role.MEMBER
            user = accounts.create_user(session, email=f"{name}@example.org", name=name, role=role)
            people[name] = Person(name, user.id, accounts.create_key(session, user.id).text)
    return people


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of every endpoint."""
    return json.loads(json.dumps(openapi.document(endpoints())))  # type: ignore[no-any-return]


def assert_documented(app: Flask, method: str, path: str, response: TestResponse) -> None:
    """Fail unless the document says that this operation may answer so."""
    operation = _operation(app, method, path)
    if operation is None:
        if response.status_code >= 400:
            assert response.content_type == PROBLEM, f"{method} {path}: {response.content_type}"
        return
    where = f"{operation['operationId']} {response.status_code}"
    assert str(response.status_code) in operation["responses"], f"{where}: not documented"
    told = _resolved(operation["responses"][str(response.status_code)])
    if not told.get("content"):
        assert not response.data, f"{where}: a body that is not documented"
        return
    if method == "HEAD":
        return
    media = response.content_type.partition(";")[0]
    assert media in told["content"], f"{where}: media type {media} is not documented"
    if media.endswith("json"):
        assert_fits(response.get_json(force=True), told["content"][media]["schema"], where)


def assert_fits(value: Any, schema: dict[str, Any], where: str) -> None:
    """Fail unless a value is what a schema of the document says."""
    whole = {**schema, "components": document()["components"]}
    errors = [f"{e.json_path}: {e.message[:300]}" for e in _validator(whole).iter_errors(value)]
    assert not errors, f"{where}: {errors}"


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _operation(app: Flask, method: str, path: str) -> dict[str, Any] | None:
    try:
        if method == "OPTIONS":
            return None  # no operation of its own
        name, _ = app.url_map.bind("localhost").match(path.partition("?")[0], method=method)
    except HTTPException:
        return None
    for item in document()["paths"].values():
        for operation in item.values():
            if operation["operationId"] == name:
                return dict(operation)
    return None


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in response:
        return response
    name = response["$ref"].rpartition("/")[2]
    return dict(document()["components"]["responses"][name])
