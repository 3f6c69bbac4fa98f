"""The OpenAPI 3.1 document, made from the list of endpoints and the schemas that validate.

Nothing is described twice: what is refused, asked for and answered is read from `Endpoint`. Every
status an operation can end with is in it; what each kind of endpoint can be refused for stands in
`refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.body import JSON, JSON_API, MULTIPART
from api.documents import XML, YAML
from api.errors import PROBLEM
from api.openapi_examples import example_of
from api.routing import UNSAFE, Answer, Endpoint
from api.schemas.common import SAME_AS, Problem

REF = "#/components/schemas/{model}"
SCHEME = "apiKey"

_ARGUMENT = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_ARGUMENT_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "row": {"type": "integer", "minimum": 1},
    "job": {"type": "string", "format": "uuid"},
    "path": {"type": "string"},
    "": {"type": "string"},
}
_ARGUMENT_DESCRIPTIONS = {
    "output_id": "The output's number, as `output_id` of the answer to submitting.",
    "job_id": "The job's id, as `job_id` of the answer to submitting.",
    "chat_id": "The chat's number.",
    "message_id": "The message's number.",
    "queue": "`high`, `default` or `low`.",
    "model": "The model's name as jobs ask for it.",
    "name": "The prompt's name; where one version is shown, also `name@3` or `name@label`.",
    "label": "The label, such as `production`.",
}

TAGS = {
    "jobs": "Submitting, watching and steering jobs.",
    "outputs": "What jobs produced, and acting on it.",
    "agents": "Named defaults that jobs inherit.",
    "prompts": "Prompt definitions by name: versions, drafts, labels, sharing.",
    "chats": "Conversations: every turn is a job.",
    "documents": "Texts that answers in chats rest on.",
    "accounts": "Users, API keys and oneself.",
    "models": "Which models can be asked, and what they cost.",
    "operations": "Queues, pauses and workers.",
    "health": "For load balancers and supervisors.",
}

_REFUSALS = {
    400: "The request is malformed; `errors` names what is wrong and where.",
    401: "No API key, or one that is wrong, revoked or expired.",
    403: "The key or its user may not do this.",
    404: "There is no such thing, or it is somebody else's.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "Over a rate; `Retry-After` says when to come back.",
    503: "The database is away; nothing was changed.",
}

_UNREADABLE = "A file is none whose text can be read."
_NO_DOCUMENT = f"The body is none of `{JSON}`, `{YAML}`, `{XML}` and `{MULTIPART}`."

_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-Id": {
        "description": "Names this request in our logs; the request's own, if it had one.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of the key's rate (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "The key's rate.", "schema": {"type": "string"}},
    "X-RateLimit-Limit": {"description": "Requests in a window.", "schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {
        "description": "Requests left in it.",
        "schema": {"type": "integer"},
    },
    "X-RateLimit-Reset": {
        "description": "Seconds until it is full again.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer"},
    },
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document, as JSON-able values."""
    schemas = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas)
        paths.setdefault(path_of(endpoint), {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LLM Jobs",
            "version": version("llm-jobs"),
            "summary": "Asynchronous LLM jobs: every accepted job reaches exactly one end.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": _components(paths, schemas),
    }


def refusals(endpoint: Endpoint) -> dict[int, str]:
    """Every error status this endpoint can answer with, and what it means there."""
    found: dict[int, str] = {}
    if not endpoint.access.public:
        found |= {status: _REFUSALS[status] for status in (400, 401, 429)}
    if endpoint.access.scope or endpoint.access.administrator:
        found[403] = _REFUSALS[403]
    if _ARGUMENT.search(endpoint.path):
        found[404] = _REFUSALS[404]
    if endpoint.method in UNSAFE:
        found |= {413: _REFUSALS[413], 415: _REFUSALS[415]}
    if endpoint.body_limits.files:
        found |= {415: f"The body is neither `{JSON}` nor `{MULTIPART}`.", 422: _UNREADABLE}
    if endpoint.documents:
        found[415] = _NO_DOCUMENT
    if endpoint.uses_database:
        found[503] = _REFUSALS[503]
    return dict(sorted((found | dict(endpoint.errors)).items()))


def path_of(endpoint: Endpoint) -> str:
    """The path as OpenAPI writes it: `/llm_jobs/{job_id}`."""
    return _ARGUMENT.sub(r"{\g<name>}", endpoint.path)


def arguments(endpoint: Endpoint) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Name, schema and description of each part of the path that varies."""
    for match in _ARGUMENT.finditer(endpoint.path):
        name = match["name"]
        described = _ARGUMENT_DESCRIPTIONS.get(name, f"The {name.replace('_', ' ')}.")
        yield name, _ARGUMENT_SCHEMAS[match["kind"] or ""], described


def _components(paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    responses = {
        str(status): _problem(status, text, public=False) for status, text in _REFUSALS.items()
    }
    named = sorted(_referenced([paths, responses], schemas))
    return {
        "schemas": {name: schemas[name] for name in named},
        "headers": dict(_HEADERS),
        "responses": responses,
        "securitySchemes": {
            SCHEME: {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "ljk_<live|test>_…",
                "description": "An API key. Scopes are listed with each operation.",
            }
        },
    }


def _operation(endpoint: Endpoint, schemas: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary.replace("`", ""),  # shown as it is, not as markdown
        "description": endpoint.description,
        "tags": [endpoint.tag],
        "parameters": list(_parameters(endpoint, schemas)),
        "responses": _responses(endpoint, schemas),
        "security": _security(endpoint),
    }
    if endpoint.body is not None:
        operation["requestBody"] = _request_body(endpoint, endpoint.body, schemas)
    return {name: value for name, value in operation.items() if value not in ("", [])} | {
        "security": operation["security"]
    }


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.access.public:
        return []
    needed = [endpoint.access.scope.value] if endpoint.access.scope else []
    return [{SCHEME: [*needed, *(["administrator"] if endpoint.access.administrator else [])]}]


def _parameters(endpoint: Endpoint, schemas: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, schema, described in arguments(endpoint):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": described,
            "schema": dict(schema),
        }
    if endpoint.query is not None:
        for name, schema in schemas[endpoint.query.__name__].get("properties", {}).items():
            plain = {key: value for key, value in schema.items() if key != "description"}
            told = {"name": name, "in": "query", "description": schema.get("description", "")}
            style = {"style": "deepObject"} if schema.get("type") == "object" else {}
            yield {**told, **style, "schema": plain}
    for header in endpoint.request_headers:
        yield {
            "name": header.name,
            "in": "header",
            "description": header.description,
            "schema": dict(header.schema),
        }


def _request_body(
    endpoint: Endpoint, model: type[BaseModel], schemas: Mapping[str, Any]
) -> dict[str, Any]:
    content = {JSON: _content(model, schemas, endpoint.examples)}
    if endpoint.json_api_body is not None:
        content[JSON_API] = _content(endpoint.json_api_body, schemas)
    if endpoint.body_limits.files:
        content[MULTIPART] = _form(model, endpoint.body_limits.part)
    if endpoint.documents:
        content |= {media_type: {"schema": {"type": "string"}} for media_type in (YAML, XML)}
        content[MULTIPART] = _documents_form()
    schema = schemas[model.__name__]
    return {"required": "required" in schema or "allOf" in schema, "content": content}


def _form(model: type[BaseModel], part: str) -> dict[str, Any]:
    """The object as one part, without its `files`, and each file as another."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return {
        "schema": {
            "type": "object",
            "properties": {part: _ref(model), "files": files},
            "required": [part],
        },
        "encoding": {part: {"contentType": JSON}},
    }


def _documents_form() -> dict[str, Any]:
    """Files, each a document, told apart by their names."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return {"schema": {"type": "object", "properties": {"file": files}, "required": ["file"]}}


def _responses(endpoint: Endpoint, schemas: Mapping[str, Any]) -> dict[str, Any]:
    told = {str(code): _answer(endpoint, a, schemas) for code, a in endpoint.answers.items()}
    for status, sentence in refusals(endpoint).items():
        told[str(status)] = _refusal(endpoint, status, sentence)
    return dict(sorted(told.items()))


def _answer(endpoint: Endpoint, answer: Answer, schemas: Mapping[str, Any]) -> dict[str, Any]:
    headers = _headers(public=endpoint.access.public)
    told: dict[str, Any] = {"description": answer.description, "headers": headers}
    told["headers"] |= {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in answer.headers.items()
    }
    if answer.model is not None:
        told["content"] = {answer.media_type: _content(answer.model, schemas)}
        if answer.alternative is not None:
            told["content"][JSON_API] = _content(answer.alternative, schemas)
    elif answer.media_type != JSON:
        told["content"] = {answer.media_type: {"schema": {"type": "string"}}}
    for media_type in answer.other_media_types:
        told["content"][media_type] = {"schema": {"type": "string"}}
    return told


def _refusal(endpoint: Endpoint, status: int, sentence: str) -> dict[str, Any]:
    """By reference where nothing about it is special."""
    if sentence == _REFUSALS.get(status) and not endpoint.access.public:
        return {"$ref": f"#/components/responses/{status}"}
    return _problem(status, sentence, public=endpoint.access.public)


def _problem(status: int, sentence: str, *, public: bool) -> dict[str, Any]:
    waits = ["Retry-After"] if status in (429, 503) else []
    return {
        "description": sentence,
        "headers": _headers(*waits, public=public),
        "content": {PROBLEM: {"schema": _ref(Problem)}},
    }


def _headers(*more: str, public: bool) -> dict[str, Any]:
    names = ["X-Request-Id", *more]
    if not public:
        names += ["RateLimit", "RateLimit-Policy"]
        names += ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _content(
    model: type[BaseModel], schemas: Mapping[str, Any], examples: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    if examples:
        named = {name: {"value": value} for name, value in examples.items()}
        return {"schema": _ref(model), "examples": named}
    return {"schema": _ref(model), "example": example_of(_ref(model), schemas)}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _schemas(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Every schema by name, those of queries included."""
    models: dict[type[BaseModel], None] = {Problem: None}
    for endpoint in endpoints:
        asked = (endpoint.body, endpoint.json_api_body, endpoint.query)
        answered = [m for a in endpoint.answers.values() for m in (a.model, a.alternative)]
        models |= {model: None for model in (*asked, *answered) if model is not None}
    wanted = [(model, "validation") for model in models]
    _, found = models_json_schema(wanted, ref_template=REF)  # type: ignore[arg-type]
    schemas: dict[str, Any] = _with_references(found["$defs"])
    return schemas


def _with_references(value: Any) -> Any:
    """The same with each `SAME_AS` as the reference that it stands for."""
    if isinstance(value, list):
        return [_with_references(item) for item in value]
    if not isinstance(value, dict):
        return value
    if SAME_AS in value:
        named = {"$ref": REF.format(model=value[SAME_AS])}
        return named | ({"description": value["description"]} if "description" in value else {})
    return {name: _with_references(item) for name, item in value.items()}


def _referenced(mentions: Any, schemas: Mapping[str, Any]) -> set[str]:
    """The schemas that are mentioned, directly or through others."""
    names: set[str] = set()
    waiting = [mentions]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
            name = str(value.get("$ref", "")).removeprefix("#/components/schemas/")
            if name in schemas and name not in names:
                names.add(name)
                waiting.append(schemas[name])
        elif isinstance(value, list):
            waiting.extend(value)
    return names
