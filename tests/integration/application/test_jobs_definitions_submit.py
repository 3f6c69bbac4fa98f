"""Submitting a definition's job: what is found out before a row exists, and what the row holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from app import jobs
from app.accounts import OPERATOR, Caller
from app.context.files import ReadFile
from app.db import Database
from app.errors import (
    EndpointUnknown,
    InvalidParameter,
    InvalidRequest,
    LLMJobsError,
    MissingParameter,
    MissingVariables,
    PromptParameterInvalid,
    PromptRefused,
    PromptTemplateInvalid,
    RequestError,
    UnsupportedModel,
)
from app.jobs import IdempotencyRequest, JobRequest
from app.jobs.meaning import inherit, understand
from app.lifecycle import Claim, NewJob
from app.prompts import library
from app.prompts.definition import from_json
from app.prompts.script import ScriptStep, steps_for
from app.settings import Settings
from tests.integration.application.conftest import (
    RecordedEvents,
    RecordedRuntime,
    RecordedWakes,
    Rows,
)
from tests.integration.application.defined import ask, defined, imixs

FILES = (ReadFile("a.txt", "A  \n\n\nB", "text/plain", 7),)
SERVICE = "http://models.example.com:8000/"


def submit(rows: Rows, caller: Caller, **fields: Any) -> Any:
    """A job of a definition alone: nothing of the usual template."""
    request = JobRequest(**{"template": None, **fields})
    return jobs.submit(rows.runtime.real, caller, request)


def of_settings(rows: Rows, **changes: Any) -> Rows:
    """The same rows, with other settings."""
    values = {
        "DATABASE_URL": rows.runtime.settings.database_url,
        "LLM_JOBS_SIMULATOR_URL": "http://127.0.0.1:9/v1",
        **changes,
    }
    old = rows.runtime
    return Rows(RecordedRuntime(Settings(**values), old.database, old.wake, old.events))


def rendered(job: Claim | NewJob) -> tuple[ScriptStep, ...]:
    """The steps as a worker has them, or as they were rehearsed."""
    return steps_for(job, hook_seconds=1)


def store(rows: Rows, caller: Caller, *definitions: dict[str, Any]) -> None:
    with rows.runtime.database.write() as session:
        library.store(session, caller, [from_json(one) for one in definitions])


def greeting(text: str) -> dict[str, Any]:
    return {"name": "greet", "model": "simulator/echo", "messages": [{"content": text}]}


# What is refused leaves nothing behind


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({"prompt_xml": "<PromptDefinition>"}, PromptTemplateInvalid, "ERROR_LLM_PROMPT_TEMPLATE"),
        ({"prompt_xml": "<PromptDefinition/>"}, PromptTemplateInvalid, "ERROR_LLM_PROMPT_TEMPLATE"),
        (
            {"prompt_xml": '<PromptDefinition><prompt role="boss">x</prompt></PromptDefinition>'},
            PromptParameterInvalid,
            "ERROR_INVALID_PARAMETER",
        ),
        (
            {"prompt_xml": '<!DOCTYPE a [<!ENTITY b "c">]><PromptDefinition/>'},
            PromptTemplateInvalid,
            "ERROR_LLM_PROMPT_TEMPLATE",
        ),
        (
            {"prompt_xml": imixs("assistant.xml")},
            PromptTemplateInvalid,
            "ERROR_LLM_PROMPT_TEMPLATE",
        ),
        (
            {"definition": defined(ask("<FILECONTEXT>b.txt</FILECONTEXT>")), "files": FILES},
            PromptRefused,
            "PROMPT_ERROR",
        ),
        (
            {"definition": defined(ask("<itemvalue>a"))},
            PromptTemplateInvalid,
            "ERROR_LLM_PROMPT_TEMPLATE",
        ),
        (
            {"definition": defined(ask("x", result_event="NONSENSE"))},
            PromptParameterInvalid,
            "ERROR_INVALID_PARAMETER",
        ),
        (
            {"definition": defined(ask("x", endpoint="https://nobody.example.com", model=None))},
            EndpointUnknown,
            "ERROR_LLM_API",
        ),
    ],
)
def test_a_definition_that_cannot_run_is_422_and_leaves_no_row(
    rows: Rows, alice: Caller, fields: dict[str, Any], error: type[RequestError], code: str
) -> None:
    fields = {"model": None if error is EndpointUnknown else "simulator/echo", **fields}
    with pytest.raises(error) as refusal:
        submit(rows, alice, **fields)
    assert (refusal.value.status, refusal.value.code) == (422, code)
    assert rows.count() == 0
    assert rows.runtime.wake.sent == []


@pytest.mark.parametrize("text", ["Dear <itemvalue>name", "Dear {{name"])
def test_a_text_that_cannot_be_read_is_told_with_its_place(
    rows: Rows, alice: Caller, text: str
) -> None:
    xml = f"<prompt>fine</prompt><prompt><![CDATA[\n{text}]]></prompt>"
    with pytest.raises(PromptTemplateInvalid) as refusal:
        submit(rows, alice, prompt_xml=f"<PromptDefinition>{xml}</PromptDefinition>")
    assert refusal.value.code == "ERROR_LLM_PROMPT_TEMPLATE"
    assert refusal.value.pointer == "/messages/1/content"
    assert refusal.value.details == {"line": 2, "column": 6}


def test_a_fault_of_a_later_step_is_found_at_submit_too(rows: Rows, alice: Caller) -> None:
    steps = [ask("fine"), ask("<FILECONTEXT>b.txt</FILECONTEXT>")]
    with pytest.raises(PromptRefused):
        submit(rows, alice, definition=defined(*steps), model="simulator/echo")
    assert rows.count() == 0


def test_all_missing_variables_of_all_steps_are_named_at_once(rows: Rows, alice: Caller) -> None:
    steps = [ask("{{b}} {{a}}"), ask("{{c}} {{b}}", role="user")]
    with pytest.raises(MissingVariables) as refusal:
        submit(rows, alice, definition=defined(*steps), model="simulator/echo", context={"c": 1})
    assert refusal.value.message == "Missing required variables: b, a"
    assert (refusal.value.status, rows.count()) == (422, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a", "template": "b"},
        {"prompt": "a", "prompt_xml": "<PromptDefinition/>"},
        {"prompt_xml": "<PromptDefinition/>", "messages": [{"role": "user", "content": "x"}]},
        {"template": "a", "workitem": {"a": 1}},
        {"template": "a", "files": FILES},
    ],
)
def test_a_job_asks_in_one_way_and_brings_only_what_is_read(
    rows: Rows, alice: Caller, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameter):
        submit(rows, alice, model="simulator/echo", **fields)
    assert rows.count() == 0


@pytest.mark.parametrize("workitem", [[], "x", {"": 1}, {" ": 1}])
def test_a_work_item_is_an_object_of_named_items(rows: Rows, alice: Caller, workitem: Any) -> None:
    with pytest.raises(InvalidRequest):
        submit(rows, alice, definition=defined(ask("x")), workitem=workitem)
    assert rows.count() == 0


def test_a_definition_without_a_model_says_what_is_missing(rows: Rows, alice: Caller) -> None:
    with pytest.raises(MissingParameter, match="model"):
        submit(rows, alice, prompt_xml=imixs("definition.xml"))
    with pytest.raises(UnsupportedModel):
        submit(rows, alice, prompt_xml=imixs("definition.xml"), model="mystery-1")
    assert rows.count() == 0


def test_one_faulty_job_of_many_refuses_them_all(rows: Rows, alice: Caller) -> None:
    store(
        rows,
        alice,
        greeting("{{x}}"),
    )
    good, bad = JobRequest(prompt="greet", context={"x": 1}), JobRequest(prompt="greet")
    with pytest.raises(InvalidRequest) as refusal:
        jobs.submit_many(rows.runtime.real, alice, [good, bad, JobRequest(prompt="none")])
    assert [error["index"] for error in refusal.value.details["errors"]] == [1, 2]
    assert rows.count() == 0
    accepted = jobs.submit_many(rows.runtime.real, alice, [good, good])
    assert [rows.read(one.output_id).prompt_name for one in accepted] == ["greet", "greet"]


# What a row holds


def test_a_stored_prompt_is_found_by_name_number_and_label_and_the_row_says_which(
    rows: Rows, alice: Caller
) -> None:
    for text in ("one", "two", "three"):
        store(
            rows,
            alice,
            greeting(text),
        )
    with rows.runtime.database.write() as session:
        library.set_label(session, alice, "greet", label="production", version=2)
    for reference, version in (("greet", 2), ("greet@1", 1), ("greet@latest", 3)):
        row = rows.read(submit(rows, alice, prompt=reference).output_id)
        assert (row.prompt_name, row.prompt_version) == ("greet", version)
        assert (row.template_name, row.model_name) == ("greet", "simulator/echo")


def test_a_label_moved_later_changes_no_accepted_job(rows: Rows, alice: Caller) -> None:
    for text in ("one", "two"):
        store(
            rows,
            alice,
            greeting(text),
        )
    with rows.runtime.database.write() as session:
        library.set_label(session, alice, "greet", label="production", version=1)
    done = submit(rows, alice, prompt="greet@production")
    with rows.runtime.database.write() as session:
        library.set_label(session, alice, "greet", label="production", version=2)
        library.archive(session, alice, "greet")
    (step,) = rendered(rows.claim(done.output_id))
    assert step.render({}, {}).messages[0].content == "one"


def test_files_and_work_item_are_kept_as_the_placeholders_read_them(
    rows: Rows, alice: Caller
) -> None:
    definition = defined(ask("<filecontext>a.txt</filecontext> <itemvalue>X</itemvalue>"))
    fields: dict[str, Any] = {"files": FILES, "workitem": {"x": [1, 2], "y": "z"}}
    done = submit(rows, alice, definition=definition, model="simulator/echo", **fields)
    claim = rows.claim(done.output_id)
    assert claim.workitem == {"x": [1, 2], "y": ["z"]}
    (step,) = rendered(claim)
    assert step.render({}, {}).messages[0].content == "A\nB 1"


def test_a_key_with_other_files_is_another_request(rows: Rows, alice: Caller) -> None:
    request = JobRequest(definition=defined(ask("x")), model="simulator/echo", files=FILES)
    key = IdempotencyRequest("k", "a" * 64)
    first = jobs.submit(rows.runtime.real, alice, request, idempotency=key)
    again = jobs.submit(rows.runtime.real, alice, request, idempotency=key)
    assert again.answer["output_id"] == first.output_id
    assert rows.count() == 1
    with pytest.raises(LLMJobsError):
        jobs.submit(
            rows.runtime.real, alice, request, idempotency=IdempotencyRequest("k", "b" * 64)
        )


# Endpoints


@pytest.mark.parametrize(
    "word",
    [
        "house",
        "HOUSE",
        "https://models.example.com/v1",
        "https://MODELS.example.com:443/",
        "<propertyvalue>house.address</propertyvalue>",
    ],
)
def test_an_endpoint_is_matched_by_its_name_and_by_its_address(
    rows: Rows, alice: Caller, word: str
) -> None:
    rows = of_settings(
        rows,
        LLM_JOBS_ENDPOINTS={"house": {"base_url": "https://models.example.com/v1", "model": "m1"}},
        LLM_JOBS_PROMPT_PROPERTIES={"house.address": "https://models.example.com"},
    )
    step = ask("x", endpoint=word, model=None)
    row = rows.read(submit(rows, alice, definition=defined(step)).output_id)
    assert row.model_name == "house/m1"
    asking = {**step, "model": "m2"}
    row = rows.read(submit(rows, alice, definition=defined(asking)).output_id)
    assert row.model_name == "house/m2"


def test_where_missing_vendors_are_simulated_an_unknown_endpoint_is_too_with_a_warning(
    rows: Rows, alice: Caller
) -> None:
    rows = of_settings(rows, LLM_JOBS_SIMULATE_MISSING="true")
    step = ask("x", endpoint="https://user:canary@nobody.example.com/", model=None)
    done = submit(rows, alice, definition=defined(step))
    assert rows.read(done.output_id).model_name == "simulator/default"
    assert "nobody.example.com" in done.warnings[0]
    assert "canary" not in repr(done.warnings)


def test_the_seeds_property_of_its_server_means_the_service_endpoint(
    rows: Rows, alice: Caller
) -> None:
    rows = of_settings(rows, LLM_SERVICE_ENDPOINT=SERVICE)
    done = submit(rows, alice, prompt_xml=imixs("prompt.xml"), workitem={"$workflowsummary": "x"})
    assert rows.read(done.output_id).model_name == "llm-service/default"


def test_a_model_among_the_options_is_asked_of_the_service_endpoint(
    rows: Rows, alice: Caller
) -> None:
    rows = of_settings(rows, LLM_SERVICE_ENDPOINT=SERVICE)
    step = ask("x", model=None, options={"model": "mistral-7b"})
    done = submit(rows, alice, definition=defined(step))
    assert rows.read(done.output_id).model_name == "llm-service/mistral-7b"


def test_only_allowed_properties_are_shown_and_the_others_are_a_warning(
    rows: Rows, alice: Caller
) -> None:
    rows = of_settings(rows, LLM_JOBS_PROMPT_PROPERTIES={"firm": "ACME"})
    words = "<propertyvalue>firm</propertyvalue>|<propertyvalue>DATABASE_URL</propertyvalue>|"
    done = submit(rows, alice, definition=defined(ask(words)), model="simulator/echo")
    (step,) = rendered(rows.claim(done.output_id))
    assert step.render({}, {}).messages[0].content == "ACME||"
    assert any("DATABASE_URL" in warning for warning in done.warnings)


# A preview of a job promises what the job keeps


def test_a_preview_of_a_definitions_job_shows_each_call_and_stores_nothing(
    rows: Rows, alice: Caller
) -> None:
    steps = [ask("{{a}}", result_item="kind"), ask("two {{b}}", options={"seed": 1})]
    request = JobRequest(definition=defined(*steps), model="simulator/echo", context={"a": "A"})
    shown = jobs.preview(rows.runtime.real, alice, request)
    assert [step["prompt"] for step in shown["steps"]] == ["A", "two {{b}}"]
    assert (shown["missing_variables"], shown["prompt"]) == (["b"], "A")
    assert shown["steps"][1]["options"] == {"seed": 1}
    assert rows.count() == 0


# Whatever is accepted renders in an attempt as it did at submit


@pytest.fixture
def sqlite_rows(sqlite_url: str) -> Iterator[Rows]:
    """Rows on one kind of database: what is tested has nothing to do with it."""
    database = Database(sqlite_url)
    values: dict[str, Any] = {
        "DATABASE_URL": sqlite_url,
        "LLM_JOBS_SIMULATOR_URL": "http://127.0.0.1:9/v1",
    }
    yield Rows(RecordedRuntime(Settings(**values), database, RecordedWakes(), RecordedEvents()))
    database.dispose()


PIECES = st.sampled_from(
    [
        "plain",
        " ",
        "{{a}}",
        "{{b.c}}",
        "{{",
        "}}",
        "<itemvalue>x</itemvalue>",
        '<itemvalue separator=",">many</itemvalue>',
        '<itemvalue format="#,##0.00" locale="de">n</itemvalue>',
        "<for-each-value item='many'><itemvalue>many</itemvalue>;</for-each-value>",
        "<username>who</username>",
        "<propertyvalue>firm</propertyvalue>",
        "<FILECONTEXT>a.txt</FILECONTEXT>",
        "<FILECONTEXT>.*</FILECONTEXT>",
        "<FILECONTEXT>(</FILECONTEXT>",
        "<itemvalue>",
        "</itemvalue>",
        "<b>bold</b>",
        "&amp;",
        "é🐉",
    ]
)
CONTENTS = st.lists(PIECES, max_size=6).map("".join)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": CONTENTS}
    ),
    min_size=1,
    max_size=4,
)
STEPS = st.fixed_dictionaries(
    {"mode": st.sampled_from(["PROMPT", "ASSISTANT", "CONDITION"]), "messages": MESSAGES}
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), CONTENTS)
MATERIAL = {
    "context": st.fixed_dictionaries({}, optional={"a": VALUES, "b": st.just({"c": 1})}),
    "workitem": st.fixed_dictionaries(
        {}, optional={"x": VALUES, "many": st.lists(VALUES, max_size=3), "n": VALUES, "who": VALUES}
    ),
}


@given(steps=st.lists(STEPS, min_size=1, max_size=3), **MATERIAL)
@how(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_accepted_renders_in_an_attempt_as_it_did_at_submit(
    sqlite_rows: Rows, steps: list[Any], context: dict[str, Any], workitem: dict[str, Any]
) -> None:
    rows = sqlite_rows
    request = JobRequest(
        definition=defined(*steps),
        model="simulator/echo",
        context=context,
        workitem=workitem,
        files=FILES,
    )
    try:
        done = jobs.submit(rows.runtime.real, OPERATOR, request)
    except RequestError:
        return
    with rows.runtime.database.read() as session:
        asked = understand(rows.runtime.settings, inherit(session, OPERATOR, request)).job
    claim = rows.claim(done.output_id)
    assert [step.render(claim.context, {}) for step in rendered(claim)] == [
        step.render(asked.context, {}) for step in rendered(asked)
    ]


def test_jobs_of_one_request_keep_only_so_much_of_definitions(rows: Rows, alice: Caller) -> None:
    messages = [{"content": "x" * 250_000}, {"content": "x" * 250_000}]
    store(rows, alice, {"name": "long", "model": "simulator/echo", "messages": messages})
    request = JobRequest(template=None, prompt="long")

    with pytest.raises(InvalidRequest, match="The definitions of all jobs are too long"):
        jobs.submit_many(rows.runtime.real, alice, [request] * 70)

    assert rows.count() == 0
