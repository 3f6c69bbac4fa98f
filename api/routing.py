"""The list of endpoints: one entry says where it is, who may call it, what goes in and comes out.

From the same entry come the Flask view, the checks before it (key, rate, scope, query, body), the
OpenAPI document and the reference. A view gets a `Call` whose parts were all checked, calls `app`
once and returns a `Reply`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from flask import Flask, Response, current_app, g, request
from pydantic import BaseModel

from api import auth, documents, limits, uploads, validation
from api.auth import Access
from api.body import ORDINARY, BodyLimits
from api.documents import Document
from api.replies import Reply, to_response
from api.schemas.common import Empty
from api.uploads import Upload
from app.accounts import Caller
from app.context.files import SentFile
from app.runtime import Runtime

Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)
View = TypeVar("View", bound=Callable[..., Reply | Response])

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Call(Generic[Body, Query]):
    """One checked request."""

    runtime: Runtime
    body: Body
    query: Query
    sent: Mapping[str, Any] = field(default_factory=dict)
    """The body as it was sent, for fingerprints; of files their names and hashes."""
    files: tuple[SentFile, ...] = ()
    documents: tuple[Document, ...] = ()
    authenticated: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who calls. Nobody does at a public endpoint, or with the metrics token."""
        if self.authenticated is None:
            raise RuntimeError("this request has no caller")
        return self.authenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way an endpoint answers when nothing is wrong."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    other_media_types: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    alternative: type[BaseModel] | None = None
    """What a JSON:API client gets instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A request header an endpoint reads."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation. `errors` are the refusals beyond those every endpoint of its kind has."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    access: Access
    view: Callable[..., Reply | Response]
    answers: Mapping[int, Answer]
    description: str = ""
    body: type[BaseModel] | None = None
    json_api_body: type[BaseModel] | None = None
    body_limits: BodyLimits = ORDINARY
    documents: bool = False
    """The body is a document (`api.documents`), in JSON of the form that `body` describes."""
    query: type[BaseModel] | None = None
    request_headers: Sequence[Header] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    uses_database: bool = True
    unavailable_sentence: str = ""
    examples: Mapping[str, Any] = field(default_factory=dict)


class Routes:
    """Endpoints below one prefix, in the order they are written."""

    def __init__(self, prefix: str = "", *, tag: str) -> None:
        self._prefix = prefix
        self._tag = tag
        self._endpoints: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints)

    def endpoint(self, method: str, path: str, **facts: Any) -> Callable[[View], View]:
        """Register the decorated view; `facts` are fields of `Endpoint`.

        The operation's name is the view's; its description is the rest of the view's docstring.
        """

        def register(view: View) -> View:
            summary, _, rest = (view.__doc__ or "").strip().partition("\n")
            self._endpoints.append(
                Endpoint(
                    method=method,
                    path=self._prefix + path,
                    name=camel_case(view.__name__),
                    summary=summary.rstrip("."),
                    description=_unindented(rest),
                    tag=facts.pop("tag", self._tag),
                    view=view,
                    **facts,
                )
            )
            return view

        return register

    def get(self, path: str, **facts: Any) -> Callable[[View], View]:
        return self.endpoint("GET", path, **facts)

    def post(self, path: str, **facts: Any) -> Callable[[View], View]:
        return self.endpoint("POST", path, **facts)

    def put(self, path: str, **facts: Any) -> Callable[[View], View]:
        return self.endpoint("PUT", path, **facts)

    def patch(self, path: str, **facts: Any) -> Callable[[View], View]:
        return self.endpoint("PATCH", path, **facts)

    def delete(self, path: str, **facts: Any) -> Callable[[View], View]:
        return self.endpoint("DELETE", path, **facts)


def install(app: Flask, endpoints: Sequence[Endpoint]) -> None:
    """Give each endpoint its Flask rule. A trailing slash changes nothing, access least of all."""
    for endpoint in endpoints:
        app.add_url_rule(
            endpoint.path,
            endpoint=endpoint.name,
            view_func=_view(endpoint),
            methods=[endpoint.method],
            strict_slashes=False,
        )


def perform(
    endpoint: Endpoint, here: Runtime, caller: Caller, sent: dict[str, Any], **arguments: Any
) -> Reply:
    """What an endpoint does for somebody who is known, with a body that came in another way than as
    a request's; it is checked and counted all the same. Raises what the endpoint raises.
    """
    limits.count_request(here, caller)
    endpoint.access.check(caller)
    body = validation.checked(endpoint.body or Empty, sent)
    call = Call(runtime=here, body=body, query=Empty(), sent=sent, authenticated=caller)
    reply = endpoint.view(call, **arguments)
    if not isinstance(reply, Reply):
        raise TypeError(f"{endpoint.name} answers with a whole response")
    return reply


def runtime() -> Runtime:
    """The runtime the current application was made with."""
    return cast(Runtime, current_app.extensions["llm_jobs"])


def camel_case(name: str) -> str:
    """`give_feedback` → `giveFeedback`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _view(endpoint: Endpoint) -> Callable[..., Response]:
    def view(**arguments: Any) -> Response:
        g.unavailable_sentence = endpoint.unavailable_sentence
        caller = _admitted(endpoint)
        query = _query(endpoint)
        sent = _sent(endpoint)
        call = Call(
            runtime=runtime(),
            query=query,
            body=_checked_body(endpoint, sent),
            sent=sent.fingerprinted,
            files=sent.files,
            documents=documents.read(request) if endpoint.documents else (),
            authenticated=caller,
        )
        return to_response(endpoint.view(call, **arguments))

    return view


def _admitted(endpoint: Endpoint) -> Caller | None:
    """Key first, then its rate, then its rights: a refused caller learns nothing more."""
    if endpoint.access.public:
        return None
    if endpoint.access.monitoring and auth.presents_metrics_token(runtime()):
        return None
    caller = auth.authenticated(runtime())
    limits.count_request(runtime(), caller)
    endpoint.access.check(caller)
    return caller


def _query(endpoint: Endpoint) -> BaseModel:
    """Unknown parameters are refused, but for probes: those of load balancers have odd ones."""
    if endpoint.access.public:
        return Empty()
    return validation.read_query(endpoint.query or Empty, request.args)


def _sent(endpoint: Endpoint) -> Upload:
    """The JSON object in the body, and its files; safe methods and documents have neither."""
    if endpoint.documents or endpoint.method not in UNSAFE:
        return Upload({})
    return uploads.read(request, endpoint.body_limits)


def _checked_body(endpoint: Endpoint, upload: Upload) -> BaseModel:
    """The body by its schema, which never sees a file."""
    if endpoint.documents:
        return Empty()
    sent = upload.document
    if endpoint.json_api_body is not None and "data" in sent:
        g.json_api = True
        sent = sent | ({"files": None} if upload.files else {})  # JSON:API has no place for them
        sent = validation.checked(endpoint.json_api_body, sent).model_dump()["data"]["attributes"]
    return validation.checked(endpoint.body or Empty, sent)


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())
