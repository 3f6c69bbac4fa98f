"""Jobs of prompt definitions over HTTP: files in JSON or as parts, keys, bulk, and refusals."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest

from tests.api.house import JOBS, OUTPUTS, House
from tests.support import pdfs

PROMPT = {
    "name": "greet",
    "model": "simulator/echo",
    "messages": [{"content": "{{a}} <FILECONTEXT>.*</FILECONTEXT>"}],
}
JOB: dict[str, Any] = {"prompt": "greet", "context": {"a": "A"}}


def stored(house: House) -> House:
    assert house.post("/api/v1/prompts", as_=house.alice, json=PROMPT).status_code == 201
    return house


def parts(job: dict[str, Any], *files: tuple[str, bytes]) -> dict[str, Any]:
    """A request of parts: the object, and the files beside it."""
    sent = [(io.BytesIO(data), name) for name, data in files]
    return {"data": {"job": json.dumps(job), "files": sent}, "content_type": "multipart/form-data"}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("way", ["parts", "base64"])
def test_a_pdf_arrives_as_a_part_or_in_base64_and_its_text_is_what_is_sent(
    house: House, way: str
) -> None:
    pdf = pdfs.pdf("from a PDF")
    in_json = {"json": {**JOB, "files": [{"name": "a.pdf", "base64": encoded(pdf)}]}}
    sent = parts(JOB, ("a.pdf", pdf)) if way == "parts" else in_json
    shown = stored(house).post(f"{JOBS}/preview", as_=house.alice, **sent)
    assert shown.status_code == 200, shown.text
    assert shown.get_json()["prompt"].split() == ["A", "from", "a", "PDF"]
    sent = parts(JOB, ("a.pdf", pdf)) if way == "parts" else in_json
    made = house.post(JOBS, as_=house.alice, **sent)
    assert made.status_code == 201
    row = house.get(f"{OUTPUTS}/{made.get_json()['output_id']}", as_=house.alice).get_json()
    assert (row["prompt_name"], row["prompt_version"]) == ("greet", 1)


def test_a_key_stands_for_the_files_too(house: House) -> None:
    stored(house)

    def send(data: bytes) -> Any:
        headers = {"Idempotency-Key": "k"}
        return house.post(JOBS, as_=house.alice, headers=headers, **parts(JOB, ("a.txt", data)))

    first, second, other = send(b"one"), send(b"one"), send(b"two")
    assert first.get_json()["output_id"] == second.get_json()["output_id"]
    assert (second.headers["Idempotent-Replayed"], other.status_code) == ("true", 422)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"files": []}, 422, "PROMPT_ERROR"),
        ({"context": {}, "files": [{"name": "a.txt", "text": "A"}]}, 422, "missing_variables"),
        ({"prompt": "nothing"}, 404, "not_found"),
        ({"prompt": "greet@9"}, 404, "not_found"),
        ({"prompt": None, "prompt_xml": "<a"}, 422, "ERROR_LLM_PROMPT_TEMPLATE"),
        ({"template": "x"}, 400, "invalid_parameter"),
    ],
)
def test_what_cannot_run_is_refused_and_leaves_no_row(
    house: House, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = stored(house).post(JOBS, as_=house.alice, json={**JOB, **fields})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert house.get(OUTPUTS, as_=house.alice).get_json()["data"] == []


def test_a_strangers_private_prompt_is_404_and_a_shared_one_runs(house: House) -> None:
    stored(house)
    job = {**JOB, "files": [{"name": "a.txt", "text": "A"}]}
    assert house.post(JOBS, as_=house.bob, json=job).status_code == 404
    shared = house.call("PATCH", "/api/v1/prompts/greet", as_=house.alice, json={"shared": True})
    assert shared.status_code == 200
    assert house.post(JOBS, as_=house.bob, json=job).status_code == 201


def test_many_jobs_of_a_prompt_are_accepted_together(house: House) -> None:
    plain = {"name": "plain", "model": "simulator/echo", "messages": [{"content": "{{a}}"}]}
    house.post("/api/v1/prompts", as_=house.alice, json=plain)
    jobs = [{"prompt": "plain", "context": {"a": n}} for n in range(3)]
    made = house.post(f"{JOBS}/bulk", as_=house.alice, json={"jobs": jobs})
    assert (made.status_code, len(made.get_json()["jobs"])) == (201, 3)
