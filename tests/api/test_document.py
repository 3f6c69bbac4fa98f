"""The OpenAPI document is valid, complete, true, and shown by a page that loads nothing foreign."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import openapi, reference
from api.app import endpoints
from tests.api.house import House, assert_fits, document

ROOT = Path(__file__).parents[2]
OPERATIONS = [op for item in document()["paths"].values() for op in item.values()]
UNDOCUMENTED = {
    "static": "the files of the documentation page",
    "asset": "scripts and styles of the pages",
    "openapi_document": "the document itself",
    "openapi_document_v1": "the document itself",
    "docs_page": "a page for people",
}
PLAIN_NAMES = {
    *("status", "format", "queue", "feedback", "model", "provider"),
    *("created_after", "created_before"),
}


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"] == "3.1.0"
    assert [e.message for e in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_both_addresses_serve_it(shared: House) -> None:
    for path in ("/openapi.json", "/api/v1/openapi.json"):
        answer = shared.get(path)
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        assert json.loads(answer.text) == document()
        etag = {"If-None-Match": answer.headers["ETag"]}
        assert shared.get(path, headers=etag).status_code == 304


def test_every_route_is_documented(shared: House) -> None:
    for rule in shared.app.url_map.iter_rules():
        if rule.endpoint in UNDOCUMENTED or rule.websocket:
            continue
        if rule.endpoint.startswith(("page_", "service_")):
            continue  # pages, and the services of another project's making
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = document()["paths"][path][method.lower()]
            assert operation["operationId"] == rule.endpoint


def test_every_operation_has_what_a_reader_needs() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    for operation in OPERATIONS:
        where = operation["operationId"]
        assert operation["summary"], where
        assert operation["tags"][0] in openapi.TAGS, where
        for parameter in operation.get("parameters", ()):
            speaks_for_itself = parameter["name"] in PLAIN_NAMES
            assert parameter["description"] or speaks_for_itself, f"{where}: {parameter['name']}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: str(op["operationId"]))
def test_every_json_body_has_an_example_that_fits_its_schema(operation: dict[str, Any]) -> None:
    contents = [operation.get("requestBody", {}).get("content", {})]
    contents += [r.get("content", {}) for r in operation["responses"].values()]
    for content in contents:
        for media, told in content.items():
            if not media.endswith("json") or media == "application/problem+json":
                continue
            examples = [told["example"]] if "example" in told else []
            examples += [example["value"] for example in told.get("examples", {}).values()]
            assert examples, media
            for example in examples:
                assert_fits(example, told["schema"], operation["operationId"])


def test_keys_are_asked_for_exactly_where_they_are_needed() -> None:
    for endpoint in endpoints():
        operation = document()["paths"][openapi.path_of(endpoint)][endpoint.method.lower()]
        assert bool(operation["security"]) == (not endpoint.access.public)
        assert ("401" in operation["responses"]) == (not endpoint.access.public)
    scheme = document()["components"]["securitySchemes"]["apiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_requests_are_strict_in_the_document_too() -> None:
    schemas = document()["components"]["schemas"]
    for endpoint in endpoints():
        if endpoint.body is not None:
            assert schemas[endpoint.body.__name__]["additionalProperties"] is False


def test_the_written_reference_is_what_the_code_says() -> None:
    written = (ROOT / reference.PATH).read_text(encoding="utf-8")
    assert written == reference.markdown(), "run: python -m api.reference > " + reference.PATH


def test_the_reference_names_every_operation_and_field() -> None:
    text = reference.markdown()
    for endpoint in endpoints():
        assert f"### `{endpoint.method} {openapi.path_of(endpoint)}`" in text
        for name in endpoint.body.model_fields if endpoint.body else ():
            assert f"| `{name}`" in text


def test_the_page_loads_nothing_from_elsewhere_and_no_inline_script(shared: House) -> None:
    page = shared.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
    assert re.search(r"https?://", page.text) is None
    assert re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|<style|style=", page.text) is None
    for address in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        with shared.get(address) as answer:
            assert answer.status_code == 200, address
            assert "charset" in answer.content_type or "json" in answer.content_type
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_vendored_carries_its_licence() -> None:
    folder = ROOT / "api" / "static" / "swagger-ui"
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert (folder / "NOTICE").exists()
