"""Requests that carry files: in JSON or as parts, both arrive as the same, within their limits.

No endpoint of the API is asked here but one made for it, from the same parts as all others.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import TestResponse

from api import errors, openapi, routing
from api.auth import PUBLIC
from api.body import FILES, MAX_UPLOAD_BYTES, MEGABYTE, BodyLimits
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty, Shown, Strict
from api.schemas.files import FilesMixin
from app.context.files import MAX_FILE_BYTES, read_files
from tests.support import pdfs

UNSET: Any = object()


class TakenBody(FilesMixin, Strict):
    template: str
    count: int = 1


class JsonApiBody(Strict):
    data: dict[str, Any]


class Told(Shown):
    body: dict[str, Any]
    sent: dict[str, Any]
    files: list[list[Any]]


routes = Routes(tag="jobs")
ANSWERS = {200: Answer(description="What arrived.", model=Told)}


@routes.post("/files", access=PUBLIC, body=TakenBody, body_limits=FILES, answers=ANSWERS)
def take_files(call: Call[TakenBody, Empty]) -> Reply:
    """Take files."""
    return told(call)


@routes.post("/none", access=PUBLIC, body=TakenBody, answers=ANSWERS)
def take_none(call: Call[TakenBody, Empty]) -> Reply:
    """Take no files."""
    return told(call)


@routes.post(
    "/named",
    access=PUBLIC,
    body=TakenBody,
    json_api_body=JsonApiBody,
    body_limits=BodyLimits(files=True, part="prompt"),
    answers=ANSWERS,
)
def take_named(call: Call[TakenBody, Empty]) -> Reply:
    """Take files beside a part of another name, or JSON:API."""
    return told(call)


@routes.post("/read", access=PUBLIC, body=TakenBody, body_limits=FILES, answers=ANSWERS)
def read_them(call: Call[TakenBody, Empty]) -> Reply:
    """Read the files, too."""
    found = read_files(call.files)
    return Reply(body={"body": {}, "sent": {}, "files": [[f.name, f.text] for f in found]})


def told(call: Call[TakenBody, Empty]) -> Reply:
    files = [
        [file.name, file.text, None if file.data is None else len(file.data)] for file in call.files
    ]
    return Reply(body={"body": call.body.model_dump(), "sent": call.sent, "files": files})


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MEGABYTE
    app.extensions["llm_jobs"] = None
    errors.install(app, for_people=lambda: False, page=lambda problem: Response())
    routing.install(app, list(routes))
    with app.test_client() as client:
        yield client


def post_json(
    client: FlaskClient, files: Any = UNSET, *, to: str = "/files", **more: Any
) -> TestResponse:
    body = {"template": "x", **more, **({} if files is UNSET else {"files": files})}
    return client.post(to, data=json.dumps(body), content_type="application/json")


def form(*parts: tuple[str, bytes], boundary: str = "----x") -> dict[str, Any]:
    """A request of parts, each its headers and its content."""
    body = b""
    for head, data in parts:
        body += (
            f"--{boundary}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + data + b"\r\n"
        )
    body += f"--{boundary}--\r\n".encode()
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}


def field(name: str, *, filename: str | None = None, kind: str = "") -> str:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    return head + (f"\r\nContent-Type: {kind}" if kind else "")


JOB = (field("job", kind="application/json"), b'{"template": "x", "count": 2}')


def told_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def refusal_of(answer: TestResponse) -> tuple[int, str, str | None]:
    """Status, sentence and pointer."""
    found = answer.get_json(force=True)
    pointer = found["errors"][0]["pointer"] if found["errors"] else None
    return answer.status_code, found["detail"], pointer


# --- in JSON -------------------------------------------------------------------------------------


def test_files_in_json_reach_the_view_beside_the_body(client: FlaskClient) -> None:
    files = [{"name": "a.txt", "text": "é"}, {"name": "b.pdf", "base64": "JVBERi0="}]
    found = told_of(post_json(client, files, count=3))
    assert found["files"] == [["a.txt", "é", None], ["b.pdf", None, 5]]
    assert found["body"] == {"template": "x", "count": 3, "files": None}


def test_what_was_sent_holds_names_and_hashes_in_place_of_contents(client: FlaskClient) -> None:
    found = told_of(post_json(client, [{"name": "a.txt", "text": "é"}]))
    digest = hashlib.sha256("é".encode()).hexdigest()
    assert found["sent"] == {"template": "x", "files": [{"name": "a.txt", "sha256": digest}]}


@pytest.mark.parametrize("files", [UNSET, None, []])
def test_a_body_without_files_is_as_it_always_was(client: FlaskClient, files: Any) -> None:
    found = told_of(post_json(client, files))
    assert (found["sent"], found["files"]) == ({"template": "x"}, [])


@pytest.mark.parametrize(
    ("files", "sentence", "pointer"),
    [
        ({}, "Invalid files: should be a valid list", "/files"),
        ("a.txt", "Invalid files: should be a valid list", "/files"),
        (["a.txt"], "Invalid files.0: ", "/files/0"),
        ([{"text": "x"}], "Missing required parameter: files.0.name", "/files/0/name"),
        ([{"name": 1, "text": "x"}], "Invalid files.0.name", "/files/0/name"),
        ([{"name": "", "text": "x"}], "Invalid files.0.name", "/files/0/name"),
        ([{"name": "a" * 256, "text": "x"}], "Invalid files.0.name", "/files/0/name"),
        ([{"name": "a"}], "should have either text or base64", "/files/0"),
        ([{"name": "a", "text": "x", "base64": ""}], "either text or base64", "/files/0"),
        ([{"name": "a", "text": 1}], "Invalid files.0.text", "/files/0/text"),
        ([{"name": "a", "text": ["x"]}], "Invalid files.0.text", "/files/0/text"),
        (
            [{"name": "a", "text": "x"}, {"name": "b", "text": "x", "type": "y"}],
            "Unknown parameter: files.1.type",
            "/files/1/type",
        ),
        ([{"name": "a", "data": "x"}], "Unknown parameter: files.0.data", "/files/0/data"),
        ([{"name": "a", "text": "\x00"}], "NUL", "/files/0/text"),
        ([{"name": "a", "text": "\ud800"}], "lone surrogate", "/files/0/text"),
        ([{"name": "a\x00", "text": "x"}], "NUL", "/files/0/name"),
        ([{"name": "a", "text": "\x00" + "x" * 300_000}], "NUL", "/files/0/text"),
        ([{"name": "a", "text": "\ud800" + "x" * 300_000}], "lone surrogate", "/files/0/text"),
    ],
)
def test_files_of_another_shape_are_refused_at_their_place(
    client: FlaskClient, files: Any, sentence: str, pointer: str
) -> None:
    status, told, where = refusal_of(post_json(client, files))
    assert (status, where) == (400, pointer)
    assert sentence in told


@pytest.mark.parametrize(
    "text",
    ["QQ", "QQ=", "Q Q==", "QQ==\n", "QQ==QQ==", "=", "====", "é===", "-_==", "data:;base64,QQ=="],
)
def test_base64_is_decoded_strictly(client: FlaskClient, text: str) -> None:
    answer = post_json(client, [{"name": "a", "text": "x"}, {"name": "b", "base64": text}])
    status, told, where = refusal_of(answer)
    assert (status, where) == (400, "/files/1/base64")
    assert "should be base64 of the standard alphabet" in told


def test_an_endpoint_that_takes_no_files_refuses_them(client: FlaskClient) -> None:
    assert told_of(post_json(client, to="/none"))["files"] == []
    status, told, where = refusal_of(post_json(client, [{"name": "a", "text": "x"}], to="/none"))
    assert (status, where) == (400, "/files")
    assert "not taken here" in told
    answer = client.post("/none", **form(JOB))
    assert (answer.status_code, "must be application/json, not" in answer.text) == (415, True)


def test_a_json_api_body_has_no_place_for_files(client: FlaskClient) -> None:
    plain = {"data": {"attributes": {"template": "x"}}}
    files = [{"name": "a", "text": "x"}]
    inside = {"data": {"attributes": {"template": "x", "files": files}}}
    assert client.post("/named", json=plain).status_code == 200
    for body in ({**plain, "files": files}, inside):
        answer = client.post("/named", json=body)
        assert (answer.status_code, "files" in answer.text) == (400, True)


# --- how large -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 300_000, 1_500_000, 7_000_000])
def test_the_contents_of_files_may_be_longer_than_any_other_text(
    client: FlaskClient, size: int
) -> None:
    files = [{"name": "a", "text": "€\n" * (size // 4)}, {"name": "b", "base64": "QUJD" * 1000}]
    assert told_of(post_json(client, files))["files"] == [
        ["a", "€\n" * (size // 4), None],
        ["b", None, 3000],
    ]


def test_many_short_files_may_be_more_than_a_megabyte_together(client: FlaskClient) -> None:
    files = [{"name": f"{n}", "text": "x" * 200_000} for n in range(20)]
    assert len(told_of(post_json(client, files))["files"]) == 20


@pytest.mark.parametrize(
    "body",
    [
        {"template": "x" * (MEGABYTE + 1)},
        {"template": "x", "other": [{"text": "y" * (MEGABYTE + 1)}]},
        {"template": "x", "files": {"text": "y" * (MEGABYTE + 1)}},
        {"template": "x", "files": [[{"text": "y" * (MEGABYTE + 1)}]]},
        {"template": "x", "files": [{"name": "y" * (MEGABYTE + 1)}]},
        {"template": "x", "files": [{"y" * (MEGABYTE + 1): "text"}]},
        {"template": "x", "files": [], "other": ["y" * 100] * 12_000},
        {"template": "x", "files": [{"name": "a", "text": "z" * MEGABYTE}], "o": [0] * 600_000},
    ],
    ids=["template", "other", "object", "deeper", "name", "key", "many short", "beside a file"],
)
def test_a_body_over_a_megabyte_is_413_when_its_files_are_not_the_reason(
    client: FlaskClient, body: dict[str, Any]
) -> None:
    answer = client.post("/files", data=json.dumps(body), content_type="application/json")
    status, told, _ = refusal_of(answer)
    assert (status, "1,048,576" in told) == (413, True)


def test_what_is_beside_the_files_is_counted_to_the_byte(client: FlaskClient) -> None:
    def status(size: int) -> int:
        head, tail = '{"template":"x","files":[{"name":"a","text":"', '"}]}'
        content = "y" * 400_000 + "\\n\\u00e9" * 50_000
        rest = len(head) - 1 + len(tail) - 1  # the quotes belong to the content
        body = head + content + tail + " " * (size - rest)
        return client.post("/files", data=body, content_type="application/json").status_code

    assert status(MEGABYTE) == 200
    assert status(MEGABYTE + 1) == 413


def test_a_long_text_beside_the_files_is_held_to_its_own_limit(client: FlaskClient) -> None:
    files = [{"name": "a", "text": "z" * 2_000_000}]
    assert told_of(post_json(client, files, template="t" * 200_000))["body"]["template"] != ""
    status, told, where = refusal_of(post_json(client, files, template="t" * 262_145))
    assert (status, where) == (400, "/template")
    assert "262,144" in told


def test_more_than_sixteen_megabytes_are_413_whatever_they_are(client: FlaskClient) -> None:
    files = [{"name": f"{n}", "text": "x" * 9_000_000} for n in range(2)]
    for answer in (
        post_json(client, files),
        client.post("/files", **form(JOB, (field("files", filename="a"), b"x" * 17_000_000))),
    ):
        status, told, _ = refusal_of(answer)
        assert (status, f"{MAX_UPLOAD_BYTES:,}" in told) == (413, True)


def test_a_single_file_over_its_limit_is_413_at_its_place(client: FlaskClient) -> None:
    data = b"x" * (MAX_FILE_BYTES + 1)
    for answer in (
        post_json(client, [{"name": "a", "text": data.decode()}]),
        post_json(client, [{"name": "a", "base64": base64.b64encode(data).decode()}]),
        client.post("/files", **form(JOB, (field("files", filename="a"), data))),
    ):
        status, told, where = refusal_of(answer)
        assert (status, where) == (413, "/files/0")
        assert "10,485,760" in told


def test_nobody_can_write_what_stands_for_a_long_text_while_it_is_read(client: FlaskClient) -> None:
    files = [{"name": "a", "text": "z" * 300_000}, {"name": "b", "text": ":0"}]
    assert told_of(post_json(client, files))["files"][1] == ["b", ":0", None]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"files": [{"text": "%s' % ("x" * 300_000), "Malformed JSON"),
        ('{"files": [{"text": "%s"}],}' % ("x" * 300_000), "line 1 column 300026"),
        ('{"files": [{"text": "%s\\q"}]}' % ("x" * 300_000), "Malformed JSON: Invalid"),
        ('{"files": [{"text": "%s\n"}]}' % ("x" * 300_000), "Malformed JSON: Invalid control"),
        ('["%s"]' % ("x" * 300_000), "The body must be a JSON object"),
        ('{"files": [{"text": "%s", "text": ""}]}' % ("x" * 300_000), "Duplicate key: text"),
        ("[" * 300_000, "deeper than 32"),
    ],
)
def test_a_malformed_long_body_is_told_with_its_true_place(
    client: FlaskClient, text: str, part: str
) -> None:
    answer = client.post("/files", data=text, content_type="application/json")
    assert answer.status_code == 400
    assert part in answer.get_json(force=True)["detail"]


# --- as parts ------------------------------------------------------------------------------------


def test_files_as_parts_arrive_like_files_in_json(client: FlaskClient) -> None:
    data = pdfs.pdf("Hello")
    as_parts = told_of(client.post("/files", **form(JOB, (field("files", filename="a.pdf"), data))))
    in_json = told_of(
        post_json(client, [{"name": "a.pdf", "base64": base64.b64encode(data).decode()}], count=2)
    )
    assert as_parts == in_json
    assert as_parts["files"] == [["a.pdf", None, len(data)]]


def test_the_test_client_and_browsers_agree_with_us_on_the_form(client: FlaskClient) -> None:
    answer = client.post(
        "/files",
        data={
            "job": '{"template": "x"}',
            "files": [
                (io.BytesIO(b"one"), "1.txt"),
                (io.BytesIO(b"\r\n--two\r\n"), "zwei – 2.txt"),
            ],
        },
        content_type="multipart/form-data",
    )
    assert told_of(answer)["files"] == [["1.txt", None, 3], ["zwei – 2.txt", None, 9]]


def test_an_endpoint_may_name_its_own_part(client: FlaskClient) -> None:
    part = (field("prompt"), JOB[1])
    assert told_of(client.post("/named", **form(part)))["body"]["count"] == 2
    status, told, where = refusal_of(client.post("/named", **form(JOB)))
    assert (status, told, where) == (400, "Unknown parameter: job", "/job")


@pytest.mark.parametrize(
    "head",
    [
        field("job"),
        field("job", kind="text/plain"),
        field("job", filename="job.json"),
        field("job", filename="job.json", kind="application/json; charset=utf-8"),
    ],
)
def test_the_object_may_be_a_field_or_a_file(client: FlaskClient, head: str) -> None:
    assert told_of(client.post("/files", **form((head, JOB[1]))))["body"]["count"] == 2


def test_a_file_field_nobody_filled_in_is_no_file(client: FlaskClient) -> None:
    assert (
        told_of(client.post("/files", **form(JOB, (field("files", filename=""), b""))))["files"]
        == []
    )


FILE = (field("files", filename="a.txt"), b"x")


@pytest.mark.parametrize(
    ("parts", "sentence", "pointer"),
    [
        ([], "The part job is missing", "/job"),
        ([FILE], "The part job is missing", "/job"),
        ([JOB, FILE, JOB], "The part job is given more than once", "/job"),
        ([(field("job"), b"{")], "The part job cannot be read: Malformed JSON", "/job"),
        ([(field("job"), b"")], "The part job cannot be read: Malformed JSON", "/job"),
        ([(field("job"), b"[]")], "The part job cannot be read: The body must be a JSON", "/job"),
        ([(field("job"), b'"\xff"')], "The part job cannot be read: Malformed", "/job"),
        (
            [(field("job", kind="text/xml"), b"{}")],
            "must be application/json, not text/xml",
            "/job",
        ),
        ([(field("job"), b'{"template": NaN}')], "NaN is not JSON", "/template"),
        ([(field("job"), b'{"count": 1}')], "Missing required parameter: template", "/template"),
        (
            [(field("job"), b'{"template": "x", "files": []}')],
            "each file is a part named files",
            "/files",
        ),
        (
            [JOB, (field("files"), b"x")],
            "Invalid files.0: the part has no filename",
            "/files/0/name",
        ),
        ([JOB, FILE, (field("files", filename=""), b"x")], "no filename", "/files/1/name"),
        ([JOB, (field("file", filename="a"), b"x")], "Unknown parameter: file", "/file"),
        ([JOB, ("X: y", b"")], "Malformed multipart/form-data: a part's headers are wrong", ""),
        ([JOB, ("Content-Disposition: form-data", b"")], "a part has no name", ""),
        (
            [
                JOB,
                (field("files", filename="a") + "\r\nContent-Transfer-Encoding: base64", b"QQ=="),
            ],
            "the part files is encoded as base64; send it plain",
            "",
        ),
        ([JOB, (field("files", filename="\udcff"), b"x")], "a part's headers are wrong", ""),
    ],
)
def test_a_form_that_is_wrong_is_refused_naming_the_part(
    client: FlaskClient, parts: list[tuple[str, bytes]], sentence: str, pointer: str
) -> None:
    status, told, where = refusal_of(client.post("/files", **form(*parts)))
    assert (status, where) == (400, pointer)
    assert sentence in told


def test_a_form_has_at_most_thirty_two_parts(client: FlaskClient) -> None:
    many = [(field("files", filename=f"{n}"), b"x") for n in range(32)]
    assert len(told_of(client.post("/files", **form(JOB, *many[:31])))["files"]) == 31
    status, told, _ = refusal_of(client.post("/files", **form(JOB, *many)))
    assert (status, told) == (413, "The body has more than 32 parts")


def test_the_object_of_a_form_has_at_most_a_megabyte(client: FlaskClient) -> None:
    large = (field("job"), json.dumps({"template": "x", "y": ["z" * 1000] * 1100}).encode())
    status, told, _ = refusal_of(client.post("/files", **form(large)))
    assert (status, told) == (413, "The part job is larger than 1,048,576 bytes")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/mixed; boundary=x", 415),
        ("application/json; charset=utf-16", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        (f"multipart/form-data; boundary={'x' * 71}", 400),
    ],
)
def test_a_body_of_another_kind_is_refused(
    client: FlaskClient, content_type: str, status: int
) -> None:
    answer = client.post("/files", data=form(JOB)["data"], content_type=content_type)
    assert answer.status_code == status
    wanted = "application/json or multipart/form-data" if status == 415 else "names no boundary"
    assert wanted in answer.get_json(force=True)["detail"]


def test_a_form_that_breaks_off_is_refused(client: FlaskClient) -> None:
    whole = form(JOB, (field("files", filename="a"), b"x" * 100))
    for length in range(1, len(whole["data"]) - 4, 7):
        answer = client.post("/files", **{**whole, "data": whole["data"][:length]})
        assert answer.status_code == 400, whole["data"][:length]
        assert "Malformed" in answer.text


# --- read, and documented ------------------------------------------------------------------------


def test_the_texts_of_what_was_sent_can_be_read(client: FlaskClient) -> None:
    parts = [(field("files", filename="a.pdf"), pdfs.pdf("Hello")), FILE]
    found = told_of(client.post("/read", **form(JOB, *parts)))
    assert found["files"] == [["a.pdf", "Hello"], ["a.txt", "x"]]


def test_a_file_that_cannot_be_read_is_422_at_its_place(client: FlaskClient) -> None:
    parts = [FILE, (field("files", filename="b.png"), b"\x89PNG\r\n\x1a\n\x00")]
    answer = client.post("/read", **form(JOB, *parts))
    assert answer.get_json(force=True)["code"] == "file_unreadable"
    status, told, where = refusal_of(answer)
    assert (status, where) == (422, "/files/1")
    assert "a PNG image" in told


def test_the_document_says_both_ways_to_send_files() -> None:
    made = openapi.document(list(routes))
    assert [e.message for e in OpenAPIV31SpecValidator(made).iter_errors()] == []
    content = made["paths"]["/files"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"]["required"] == ["job"]
    assert set(made["paths"]["/none"]["post"]["requestBody"]["content"]) == {"application/json"}
    named = made["paths"]["/named"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert named["encoding"] == {"prompt": {"contentType": "application/json"}}
    properties = made["components"]["schemas"]["TakenBody"]["properties"]
    assert properties["files"]["anyOf"][0]["items"] == {"$ref": "#/components/schemas/FileBody"}
    assert "neither" in made["paths"]["/files"]["post"]["responses"]["415"]["description"]
    assert "422" in made["paths"]["/files"]["post"]["responses"]
