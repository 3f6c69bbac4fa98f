"""The services of Apollo over HTTP, with a client that reads as Lightning does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app import lifecycle
from app.lifecycle import control
from app.providers.contract import Message
from app.providers.registry import resolve
from app.services import Done, ServiceError, Told, Turn
from models import ControlKind, LLMOutput
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.waiting import eventually

Event = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def platform(
    sqlite_databases: SQLiteDatabases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("services")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(
        directory, database_url=url, web=True, chat_model="simulator/echo"
    ) as found:
        yield found


def post(platform: Platform, path: str, **payload: Any) -> httpx2.Response:
    body = {"api_key": platform.key, **payload}
    return httpx2.post(f"{platform.web_url}/services/{path}", json=body, timeout=30)


def strictly_read(raw: bytes) -> Iterator[Event]:
    """As Lightning's reader does: whatever it would crash on fails here."""
    text = raw.decode()
    assert "\r" not in text
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[:2] != ": ")
        assert set(fields) <= {"event", "data", "id", "retry"}
        assert all(line == ": keepalive" for line in block.split("\n") if line[0] == ":")
        if fields:
            yield fields["event"], json.loads(fields["data"])


def in_order(events: list[Event]) -> None:
    """Blocks are numbered from 0 and one is open at a time; nothing but the end is after it."""
    assert [name for name, _ in events].count("message_start") == 1
    assert events[0][0] == "message_start"
    open_block, last = None, -1
    for name, data in events:
        if name == "content_block_start":
            assert open_block is None
            assert data["index"] == last + 1
            open_block = last = data["index"]
        elif name == "content_block_delta":
            assert data["index"] == open_block
        elif name == "content_block_stop":
            assert data["index"] == open_block
            open_block = None
    assert open_block is None
    assert events[-1][0] in ("complete", "error")


def texts(events: list[Event]) -> str:
    return "".join(d["delta"].get("text", "") for _, d in events if "delta" in d)


def rows(platform: Platform) -> list[LLMOutput]:
    with platform.runtime.database.read() as session:
        return list(session.scalars(select(LLMOutput).order_by(LLMOutput.id.desc())))


def test_a_question_is_answered_by_a_job(platform: Platform) -> None:
    answer = post(platform, "job_chat", content="Hello", context={"page_name": "Load"})
    assert answer.status_code == 200
    assert answer.headers["X-Api-Version"] == answer.json()["meta"]["apollo_version"]
    assert answer.json()["history"][-1]["role"] == "assistant"
    row = rows(platform)[0]
    assert (row.template_name, row.queue, row.status) == ("service/job_chat", "high", "completed")
    assert answer.json()["usage"]["input_tokens"] == row.input_tokens


def test_a_streamed_answer_is_read_by_lightnings_own_rules(platform: Platform) -> None:
    answer = post(platform, "job_chat/stream", content="Say é and 😀", stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = list(strictly_read(answer.content))
    in_order(events)
    name, response = events[-1]
    assert name == "complete"
    assert texts(events) == response["response"] == "Say é and 😀"
    assert response["usage"].keys() == {
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    }


def test_the_first_bytes_come_before_the_model_and_who_has_gone_is_answered_no_more(
    platform: Platform,
) -> None:
    body = {"api_key": platform.key, "content": "Hello"}
    address = f"{platform.web_url}/services/job_chat/stream"
    with platform.simulator.held():
        with httpx2.stream("POST", address, json=body, timeout=30) as answer:
            assert b"event: message_start" in next(answer.iter_bytes())
            job = rows(platform)[0]
            eventually(lambda: platform.simulator.calls(job.job_id))
        assert platform.wait_status(job.id, "cancelled", "completed").status == "cancelled"


def test_documents_are_searched_once_and_kept_until_one_goes_elsewhere(platform: Platform) -> None:
    text = {"key": "fn.md", "title": "fn", "text": "The operation fn changes the state."}
    assert platform.ask("POST", "/api/v1/documents", text).status_code == 201
    first = post(platform, "job_chat", content="What does the operation fn do?").json()
    rag = first["meta"]["rag"]
    assert rag["search_results_sections"] == ["fn"]
    assert "changes the state" in rag["search_results"][0]
    assert "changes the state" in told(platform)
    again = post(platform, "job_chat", content="Whales?", meta=first["meta"]).json()
    assert again["meta"]["rag"] == rag
    assert "changes the state" in told(platform)
    fresh = post(platform, "job_chat", content="Whales?", meta=first["meta"], refresh_rag=True)
    assert fresh.json()["meta"]["rag"]["search_results"] == []


def test_documents_of_the_adaptor_are_told_unless_they_are_not_wanted(platform: Platform) -> None:
    text = {"key": "fhir.md", "title": "fhir", "text": "Bundles come first.", "resource": "fhir"}
    assert platform.ask("POST", "/api/v1/documents", text).status_code == 201
    context = {"adaptor": "@openfn/language-fhir@5.0.0"}
    post(platform, "job_chat", content="Hello", context=context)
    assert "Bundles come first." in told(platform)
    post(platform, "job_chat", content="Hi", context=context, download_adaptor_docs=False)
    assert "Documentation of the step's adaptor" not in told(platform)
    post(platform, "job_chat", content="Hello", context={"adaptor": "@openfn/language-kobo@1.0.0"})
    assert "Bundles come first." not in told(platform)


def told(platform: Platform) -> str:
    """What the model was told before the last conversation."""
    script = rows(platform)[0].script
    assert script
    return str(script["messages"][0]["content"])


def test_a_workflow_comes_back_and_the_change_is_an_event(platform: Platform) -> None:
    workflow = "name: Mine\njobs:\n  a:\n    name: A\n    body: fn()\n"
    content = "Rename it\n<workflow_yaml>\nname: Ours\njobs: {a: {name: B}}\n</workflow_yaml>"
    answer = post(platform, "workflow_chat/stream", content=content, existing_yaml=workflow)
    events = list(strictly_read(answer.content))
    in_order(events)
    (_, response), (_, changes) = events[-1], next(e for e in events if e[0] == "changes")
    assert texts(events).strip() == response["response"] == "Rename it"
    assert changes == {"yaml": response["response_yaml"]}
    assert "name: Ours" in response["response_yaml"]


def test_a_workflow_that_cannot_be_read_is_asked_for_again_and_both_are_counted(
    platform: Platform,
) -> None:
    content = "Rename it\n<workflow_yaml>\nname: [oops\n</workflow_yaml>"
    told = post(platform, "workflow_chat", content=content).json()
    assert (told["response"], told["response_yaml"]) == ("Rename it", None)
    second, first = rows(platform)[:2]
    assert (first.template_name, second.template_name) == ("service/workflow_chat",) * 2
    assert told["usage"]["input_tokens"] == first.input_tokens + second.input_tokens


def test_a_workflow_and_its_code_change_in_one_answer(platform: Platform) -> None:
    workflow = "name: Mine\njobs:\n  a:\n    name: A\n    body: fn()\n"
    edit = '<code_edits step="a">[{"action": "rewrite", "new_code": "get()"}]</code_edits>'
    answer = post(
        platform,
        "global_chat/stream",
        content=f"Fetch it\n{edit}",
        workflow_yaml=workflow,
        page="workflows/Mine/A",
        options={"stream": True},
    )
    events = list(strictly_read(answer.content))
    in_order(events)
    (_, response), (_, changes) = events[-1], next(e for e in events if e[0] == "changes")
    assert texts(events).strip() == response["response"] == "[pg:job_code/A] Fetch it"
    assert response["attachments"] == [{"type": "workflow_yaml", "content": changes["yaml"]}]
    assert "get()" in changes["yaml"]
    assert response["meta"]["agents"] == ["job_code_agent"]
    assert rows(platform)[0].template_name == "service/global_chat"


def test_edits_that_do_not_fit_are_asked_for_again_and_both_are_counted(
    platform: Platform,
) -> None:
    edit = '<code_edits>[{"action": "replace", "old_code": "b", "new_code": "c"}]</code_edits>'
    told = post(
        platform,
        "job_chat",
        content=f"Do it\n{edit}",
        context={"expression": "a"},
        suggest_code=True,
    ).json()
    assert told["suggested_code"] is None
    assert "old_code is not there" in told["diff"]["warning"]
    second, first = rows(platform)[:2]
    assert told["usage"]["input_tokens"] == first.input_tokens + second.input_tokens


def test_a_skill_is_followed_and_an_unknown_one_names_those_there_are(platform: Platform) -> None:
    skill = {"type": "skill", "name": "qa", "content": "Ask three questions first."}
    assert platform.ask("POST", "/api/v1/assets", skill).status_code == 201
    answer = post(platform, "global_chat", content="/qa Check it", skill={"name": "qa"})
    assert answer.json()["response"] == "Check it"
    assert answer.json()["meta"]["skill"] == "qa"
    assert "Ask three questions first." in told(platform)
    unknown = post(platform, "global_chat", content="Check it", skill={"name": "q"})
    assert unknown.status_code == 400
    assert unknown.json()["type"] == "UNKNOWN_SKILL"
    assert unknown.json()["details"] == {"available": ["qa"]}


def test_attachments_are_told_whole_or_refused(platform: Platform) -> None:
    log = {"type": "log", "content": "line of a log\n" * 15_000}  # more than an ordinary text
    too_much = post(platform, "global_chat", content="Why?", attachments=[log])
    assert (too_much.status_code, too_much.json()["type"]) == (400, "ATTACHMENT_TOO_LARGE")
    log["content"] = "line of a log\n" * 14_000
    assert post(platform, "global_chat", content="Why?", attachments=[log]).status_code == 200
    assert log["content"] in told(platform)


def test_a_long_conversation_is_taken(platform: Platform) -> None:
    history = [{"role": role, "content": "x"} for role in ("user", "assistant")] * 400
    answer = post(platform, "job_chat", content="Hello", history=history)
    assert (answer.status_code, len(answer.json()["history"])) == (200, 802)


def begin(platform: Platform, model: str) -> Turn:
    """A turn that another model answers, as the web process begins them."""
    settings = platform.runtime.settings.model_copy(update={"chat_model": model})
    runtime = replace(platform.runtime, settings=settings)
    return Turn.begin(runtime, platform.caller, [Message("user", "Hello")], service="job_chat")


def test_the_text_comes_as_it_is_written(platform: Platform) -> None:
    told = list(begin(platform, "simulator/tokens-60+rate-120").follow(stopping=lambda: False))
    pieces = [one.text for one in told if isinstance(one, Told)]
    assert len(pieces) > 3
    assert isinstance(told[-1], Done)
    assert "".join(pieces) == told[-1].text


@pytest.mark.parametrize(
    ("model", "type", "calls"),
    [
        ("simulator/429-60", "RATE_LIMIT", 1),  # it says to come back in a minute: nobody waits
        ("simulator/500", "PROVIDER_ERROR", 2),
        ("simulator/401", "AUTH_ERROR", 1),
        ("simulator/empty", "INVALID_LLM_RESPONSE", 2),
    ],
)
def test_a_failure_is_told_soon_and_with_a_known_type(
    platform: Platform, model: str, type: str, calls: int
) -> None:
    turn = begin(platform, model)
    with pytest.raises(ServiceError) as failed:
        list(turn.follow(stopping=lambda: False))
    assert failed.value.type == type
    row = platform.wait_status(turn.output_id, "failed", "cancelled")
    assert len(platform.simulator.calls(turn.job_id)) == calls, row.error_code


def test_without_a_model_for_chats_the_service_says_so(platform: Platform) -> None:
    with pytest.raises(ServiceError) as refused:
        begin(platform, "")
    assert refused.value.to_json() == {
        "code": 500,
        "type": "PROVIDER_ERROR",
        "message": "No model is set for this service.",
    }


@pytest.mark.parametrize(
    ("kind", "type"),
    [(ControlKind.MODEL, "CONNECTION_ERROR"), (ControlKind.BUCKET, "RATE_LIMIT")],
)
def test_what_is_held_back_ends_a_turn_at_once(
    platform: Platform, kind: ControlKind, type: str
) -> None:
    model, database = f"simulator/held-{kind.value}", platform.runtime.database
    bucket = resolve(model, platform.runtime.settings).bucket
    name = bucket if kind is ControlKind.BUCKET else model
    with database.write() as session:
        control.pause(session, kind, name)
    try:
        with pytest.raises(ServiceError) as refused:
            list(begin(platform, model).follow(stopping=lambda: False))
    finally:
        with database.write() as session:
            lifecycle.resume(session, kind, name)
    assert refused.value.type == type


@pytest.mark.parametrize("key", [None, "", "nonsense", "ljk_live_x", 5, {"a": 1}])
def test_who_has_no_key_is_refused_and_no_key_is_kept(platform: Platform, key: Any) -> None:
    before = len(rows(platform))
    for path in ("job_chat", "job_chat/stream", "echo"):
        answer = post(platform, path, content="x", api_key=key)
        assert answer.status_code == 401
        assert answer.json()["type"] == "UNAUTHORIZED"
    assert len(rows(platform)) == before


def test_no_key_is_written_anywhere(platform: Platform) -> None:
    post(platform, "job_chat", content="Hello")
    post(platform, "job_chat", content="Hello", meta={"a": 1}, nonsense=platform.key)
    secret = platform.key[-20:]
    assert platform.web is not None
    assert secret not in platform.web.output
    assert secret not in platform.workers[0].output
    assert all(secret not in repr(vars(row)) for row in rows(platform))


@pytest.mark.parametrize(
    ("payload", "type"),
    [({}, "BAD_REQUEST"), ({"content": "x", "history": 5}, "BAD_REQUEST")],
)
def test_what_is_wrong_is_a_status_when_plain_and_an_event_when_streamed(
    platform: Platform, payload: dict[str, Any], type: str
) -> None:
    plain = post(platform, "job_chat", **payload)
    assert (plain.status_code, plain.json()["type"]) == (400, type)
    streamed = post(platform, "job_chat/stream", **payload)
    assert streamed.status_code == 200
    (event,) = strictly_read(streamed.content)
    assert event == ("error", plain.json())


def test_what_no_json_is_is_an_error_object_too(platform: Platform) -> None:
    address = f"{platform.web_url}/services/job_chat"
    for body, status in ((b"{", 400), (b"[]", 400), (b"x" * 2_000_000, 413)):
        answer = httpx2.post(
            address, content=body, headers={"Content-Type": "application/json"}, timeout=30
        )
        assert answer.status_code == status
        assert answer.json()["type"] == "BAD_REQUEST"


def test_errors_on_demand_are_what_clients_are_tested_with(platform: Platform) -> None:
    limited = post(platform, "test_errors", trigger="RATE_LIMIT")
    assert limited.status_code == 429
    assert limited.json() == {
        "code": 429,
        "type": "RATE_LIMIT",
        "message": "Rate limit exceeded, please try again later",
        "details": {"retry_after": 60},
    }
    assert post(platform, "test_errors", trigger="UNEXPECTED").status_code == 500
    assert post(platform, "test_errors", trigger="SUCCESS").json() == {"success": True}
    events = list(strictly_read(post(platform, "test_errors/stream", trigger="RATE_LIMIT").content))
    assert events == [("error", limited.json())]


def test_echo_gives_back_the_payload_without_its_secrets(platform: Platform) -> None:
    sent = {"a": {"X-Api-Key": "k", "text": "sk-abcdefghijk and task-scheduler-daily"}, "n": [1]}
    told = post(platform, "echo", session_id="mine", **sent).json()
    assert told.pop("session_id") != "mine"
    assert told == {
        "a": {"X-Api-Key": "[redacted]", "text": "[redacted] and task-scheduler-daily"},
        "n": [1],
    }


def test_probes_find_a_service_and_browsers_the_pages(platform: Platform) -> None:
    probe = httpx2.get(platform.web_url, headers={"Accept": "*/*"})
    assert (probe.status_code, "job_chat" in probe.text) == (200, True)
    assert httpx2.head(platform.web_url).status_code == 200
    assert httpx2.get(platform.web_url, headers={"Accept": "text/html"}).status_code == 303
    alive = httpx2.get(f"{platform.web_url}/livez").json()
    assert alive["version"] == probe.headers["X-Api-Version"]
    status = httpx2.get(f"{platform.web_url}/status").json()
    assert set(status) == {"openai", "pinecone", "anthropic", "postgres"}
    assert status["postgres"] == "working"
    assert httpx2.head(f"{platform.web_url}/services/job_chat").status_code == 200
    assert httpx2.head(f"{platform.web_url}/services/none").status_code == 404
    readme = httpx2.get(f"{platform.web_url}/services/job_chat/README.md")
    assert (readme.status_code, readme.text[:10]) == (200, "# job_chat")
    assert post(platform, "none").json()["type"] == "NOT_FOUND"
