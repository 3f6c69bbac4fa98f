"""Hostile bodies: each gets a clear problem, none a 500, none leaves a row."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
from typing import Any

import pytest
from flask import Request
from sqlalchemy import func, select
from werkzeug.test import EnvironBuilder

from api import body, uploads
from api.body import FILES, MAX_UPLOAD_BYTES, MEGABYTE
from api.errors import PROBLEM
from app.errors import InvalidRequest, PayloadTooLarge, RequestError
from models import LLMOutput
from tests.api.house import JOBS, SEED, House


def nested(depth: int) -> str:
    """A document of that many levels."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


def context(value: str) -> bytes:
    """A job with this, as it stands, as the context."""
    return f'{{"template": "Hi {{{{x}}}}", "model": "gpt-4", "context": {value}}}'.encode()


def keys(count: int) -> str:
    """An object of so many keys."""
    return json.dumps({f"k{i}": 1 for i in range(count)})


HOSTILE: dict[str, tuple[bytes, int, str, str | None]] = {
    # name: body, status, part of the sentence, pointer
    "not json": (b"hello", 400, "Malformed JSON", ""),
    "cut off": (b'{"template": "x"', 400, "Malformed JSON", ""),
    "single quotes": (b"{'template': 'x'}", 400, "Malformed JSON", ""),
    "trailing comma": (b'{"template": "x",}', 400, "Malformed JSON", ""),
    "two documents": (b"{}{}", 400, "Malformed JSON", ""),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, "Malformed JSON", ""),
    "not utf-8": (b'{"template": "\xff"}', 400, "not UTF-8", ""),
    "utf-16": ('{"template": "x"}'.encode("utf-16"), 400, "not UTF-8", ""),
    "raw control character": (b'{"template": "a\nb"}', 400, "Malformed JSON", ""),
    "a list": (b"[]", 400, "must be a JSON object", ""),
    "a text": (b'"x"', 400, "must be a JSON object", ""),
    "null": (b"null", 400, "must be a JSON object", ""),
    "NaN": (context('{"x": NaN}'), 400, "NaN is not JSON", "/context/x"),
    "Infinity": (context('{"x": -Infinity}'), 400, "is not JSON", "/context/x"),
    "number out of range": (context('{"x": 1e999}'), 400, "range", "/context/x"),
    "5,000 digits": (context('{"x": %s}' % ("9" * 5000)), 400, "300", "/context/x"),
    "duplicate key": (b'{"template":"a","template":"b"}', 400, "Duplicate key: template", ""),
    "duplicate inside": (context('{"y": {"x":1,"x":2}}'), 400, "Dupl", "/context/y"),
    "NUL": (context('{"x": "\\u0000"}'), 400, "NUL", "/context/x"),
    "NUL in a key": (context('{"x": {"\\u0000": 1}}'), 400, "NUL", "/context/x"),
    "lone surrogate": (context('{"x": "\\ud83d"}'), 400, "surrogate", "/context/x"),
    "surrogate in a key": (context('{"\\udc00": 1}'), 400, "surrogate", "/context"),
    "surrogate in the template": (b'{"template": "\\ud83d"}', 400, "surrogate", "/template"),
    "33 levels": (nested(33).encode(), 400, "deeper than 32", None),
    "10,000 levels": (nested(10_000).encode(), 400, "deeper than 32", ""),
    "200,000 brackets": (b"[" * 200_000, 400, "deeper than 32", ""),
    "1,001 keys": (keys(1001).encode(), 400, "1,000", ""),
    "10,000 fields": (context(keys(10_000)), 400, "1,000", "/context"),
    "a long text": (context('{"x": "%s"}' % ("x" * 262_145)), 400, "262,144", "/context/x"),
    "long characters": (context('{"x": "%s"}' % ("€" * 90_000)), 400, "262,144", "/context/x"),
    "5 MB": (b'{"template": "' + b"x" * 5_000_000 + b'"}', 413, "1,048,576", None),
    "just over 1 MB": (b"{" + b" " * 1_048_576 + b"}", 413, "1,048,576", None),
}  # fmt: skip


@pytest.mark.fault("F29", "bodies are huge, deep or broken")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_gets_a_clear_problem_and_leaves_no_row(shared: House, name: str) -> None:
    sent, status, part, pointer = HOSTILE[name]
    answer = shared.post(JOBS, as_=shared.alice, data=sent, content_type="application/json")
    told = answer.get_json(force=True)
    assert (answer.status_code, answer.content_type) == (status, PROBLEM)
    assert part in told["error"] == told["detail"]
    if pointer is not None:
        assert told["errors"][0]["pointer"] == pointer
    with shared.database.read() as session:
        assert session.scalar(select(func.count()).select_from(LLMOutput)) == 0


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("text/plain", {}),
        ("application/x-www-form-urlencoded", {}),
        ("application/xml", {}),
        ("application/jsonp", {}),
        ("application/json; charset=utf-16", {}),
        ("", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_a_body_that_is_not_plain_json_is_415(
    shared: House, content_type: str, headers: dict[str, str]
) -> None:
    answer = shared.post(
        JOBS,
        as_=shared.alice,
        data=json.dumps(SEED),
        content_type=content_type,
        headers=headers,
    )
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (
        415,
        "unsupported_media_type",
    )


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
def test_a_charset_of_utf_8_is_welcome(house: House, content_type: str) -> None:
    sent = json.dumps({**SEED, "model": "simulator/echo"})
    answer = house.post(JOBS, as_=house.alice, data=sent, content_type=content_type)
    assert answer.status_code == 201


def test_what_is_within_every_limit_is_accepted_and_stored_unchanged(house: House) -> None:
    context: dict[str, Any] = {
        "emoji": "😀 and \u202e\ufeff and \u0001",
        "big": 10**299,
        "small": 1e-300,
        "deep": json.loads(nested(30)),
        "wide": {f"k{i}": None for i in range(900)},
        "long": "€" * 80_000,
        "mixed": [True, 0, -1.5, "", [], {}],
    }
    job = house.submit(context=context, template="{{emoji}}", model="simulator/echo")
    with house.database.read() as session:
        assert session.get_one(LLMOutput, job["output_id"]).context == context


def test_bulk_takes_more_bytes_and_counts_each_jobs_keys_alone(house: House) -> None:
    wide = {f"k{i}": "x" * 2000 for i in range(900)}
    jobs = [{**SEED, "model": "simulator/echo", "context": wide} for _ in range(3)]
    answer = house.post(f"{JOBS}/bulk", as_=house.alice, json={"jobs": jobs})
    assert answer.status_code == 201
    jobs[2]["context"] = {f"k{i}": 1 for i in range(1001)}
    answer = house.post(f"{JOBS}/bulk", as_=house.alice, json={"jobs": jobs})
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["pointer"] == "/jobs/2/context"


def test_the_shallowest_fault_is_the_one_reported() -> None:
    with pytest.raises(InvalidRequest) as caught:
        body.check(body.parse(b'{"a": {"b": NaN}, "c": "\\u0000"}'))
    assert caught.value.pointer == "/c"


def test_pointers_escape_their_two_special_characters() -> None:
    with pytest.raises(InvalidRequest) as caught:
        body.check(body.parse(b'{"a/b": [0, {"~": NaN}]}'))
    assert caught.value.pointer == "/a~1b/1/~0"


def test_a_body_on_an_operation_without_fields_is_read_as_strictly(house: House) -> None:
    job = house.ended()
    path = f"/api/v1/llm_outputs/{job['output_id']}/re_run"
    assert house.post(path, as_=house.alice, json={"model": "x"}).status_code == 400
    assert (
        house.post(path, as_=house.alice, data=b"x", content_type="text/plain").status_code == 415
    )
    assert house.post(path, as_=house.alice, json={}).status_code == 201


def test_a_huge_name_is_not_echoed_whole(shared: House) -> None:
    answer = shared.post(JOBS, as_=shared.alice, json={**SEED, "x" * 100_000: 1})
    assert answer.status_code == 400
    assert len(answer.data) < 5_000


@pytest.mark.parametrize(("size", "status"), [(1_048_576, 200), (1_048_577, 413), (2_000_000, 413)])
def test_a_body_of_unknown_length_is_counted_not_cut(shared: House, size: int, status: int) -> None:
    sent = (json.dumps(SEED) + " " * size)[:size].encode()
    answer = shared.post(
        f"{JOBS}/preview",
        as_=shared.alice,
        input_stream=io.BytesIO(sent),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == status


# --- bodies that may carry files -----------------------------------------------------------------

M = MAX_UPLOAD_BYTES - 1000
HEAD = b"--x\r\nContent-Disposition: form-data; name="
HOSTILE_UPLOADS: dict[str, tuple[bytes, str]] = {
    # name: body (a form when it begins with a boundary), part of the sentence
    "only brackets": (b"[" * M, "larger than 1,048,576"),
    "only commas": (b"[" + b"[]," * (M // 3), "larger than 1,048,576"),
    "only quotes": (b'"' * M, "larger than 1,048,576"),
    "only short texts": (b'{"files":[' + b'"a",' * (M // 4), "larger than 1,048,576"),
    "only blanks": (b'{"files":[]' + b" " * M + b"}", "larger than 1,048,576"),
    "backslashes without end": (b'{"files":[{"text":"' + b"\\" * M, "Malformed JSON"),
    "quotes without end": (b'{"files":[{"text":"' + b'\\"' * (M // 2), "Malformed JSON"),
    "a text that is not UTF-8": (b'{"files":[{"text":"' + b"\xff" * M + b'"}]}', "not UTF-8"),
    "long keys": (
        b'{"files":[{' + b'"%b":0,' % (b"k" * 300) * 50_000 + b'"":0}]}',
        "More than 1,000 keys",
    ),
    "long texts elsewhere": (b'{"a":[' + b'"%b",' % (b"v" * 300) * 50_000 + b"0]}", "larger than"),
    "a form of boundaries": (b"--x\r\n" * (M // 5), "Malformed"),
    "a form of almost boundaries": (HEAD + b'"job"\r\n\r\n' + b"\r\n--y" * (M // 5), "Malformed"),
    "a form of line breaks": (HEAD + b'"job"\r\n\r\n' + b"\r\n" * (M // 2), "Malformed"),
    "a form of blanks": (HEAD + b'"job"\r\n\r\n\r\n--x' + b" " * M, "Malformed"),
    "a form of headers": (HEAD + b'"job"' + b"\r\nA: b" * (M // 6), "16,384 bytes"),
    "a form of parameters": (HEAD + b'"job"' + b"; a=b" * (M // 5), "16,384 bytes"),
    "a form before its first part": (b"--y" + b"\r\n--xy" * (M // 6), "Malformed"),
    "a form of parts": (HEAD + b'"f"\r\n\r\n\r\n' + (HEAD + b'"f"\r\n\r\n\r\n') * 999, "Unknown"),
    "a form of files": (
        (HEAD + b'"files"; filename="a"\r\n\r\n\r\n') * 100_000,
        "more than 32 parts",
    ),
}


def upload(sent: bytes) -> Request:
    """A request with this body, JSON or a form."""
    kind = "multipart/form-data; boundary=x" if sent.startswith(b"--") else "application/json"
    return Request(EnvironBuilder(method="POST", data=sent, content_type=kind).get_environ())


@pytest.mark.parametrize("name", HOSTILE_UPLOADS)
def test_a_hostile_body_with_files_is_refused_before_it_costs_much(name: str) -> None:
    sent, part = HOSTILE_UPLOADS[name]
    request, began = upload(sent[:MAX_UPLOAD_BYTES]), time.process_time()
    with pytest.raises(RequestError) as caught:
        uploads.read(request, FILES)
    assert isinstance(caught.value, (InvalidRequest, PayloadTooLarge))
    assert part in caught.value.message
    assert time.process_time() - began < 5


def test_what_is_not_a_file_is_refused_before_it_is_parsed() -> None:
    request = upload(b'{"files":[' + b"[]," * (M // 3) + b"0]}")
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            uploads.read(request, FILES)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * MAX_UPLOAD_BYTES  # the lists themselves would be twenty times as much


def test_the_limits_of_a_body_hold_beside_files_too() -> None:
    long = {"name": "a", "text": "x" * MEGABYTE}
    for extra, part in (
        ('"deep": ' + nested(33), "deeper than 32"),
        ('"wide": ' + keys(1001), "More than 1,000 keys"),
        ('"a": NaN', "NaN is not JSON"),
        ('"a": "\\u0000"', "NUL"),
        ('"a": 1, "a": 2', "Duplicate key: a"),
    ):
        sent = f'{{"files": [{json.dumps(long)}], {extra}}}'.encode()
        with pytest.raises(InvalidRequest, match=part):
            uploads.read(upload(sent), FILES)
