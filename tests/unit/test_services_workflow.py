"""`workflow_chat` without a job: what the model sees of a workflow, what its owner gets back."""

from __future__ import annotations

from typing import Any

import pytest

from app.services import ServiceError, WorkflowChat
from app.services.workflow_yaml import (
    CONFIRMATION,
    NO_CODE,
    masked,
    read,
    restored,
    without_ids,
    written,
)

USAGE = {"input_tokens": 5, "output_tokens": 7}
YAML = """\
name: Patients
jobs:
  fetch:
    id: 11111111-aaaa-4000-8000-000000000001
    name: Fetch them
    adaptor: '@openfn/language-http@latest'
    body: |
      get('/patients'); // __CODE_BLOCK_x__ is mine
  send:
    id: 11111111-aaaa-4000-8000-000000000002
    name: Send
    adaptor: '@openfn/language-common@latest'
    body: fn(s => s)
triggers:
  webhook:
    id: 11111111-aaaa-4000-8000-000000000003
    type: webhook
edges:
  webhook->fetch:
    id: 11111111-aaaa-4000-8000-000000000004
    source_trigger: webhook
    target_job: fetch
  fetch->send:
    id: 11111111-aaaa-4000-8000-000000000005
    source_job: fetch
    target_job: send
"""


def workflow() -> dict[str, Any]:
    found = read(YAML)
    assert found
    return found


def chat(**payload: Any) -> WorkflowChat:
    return WorkflowChat.read({"content": "Help", "existing_yaml": YAML, **payload})


def answered(answer: str, corrected: str | None = None, **payload: Any) -> dict[str, Any]:
    return chat(**payload).response(answer, USAGE, longest=0, corrected=corrected)


def block(text: str) -> str:
    return f"Done.\n<workflow_yaml>\n{text}\n</workflow_yaml>"


def test_the_model_sees_neither_ids_nor_code() -> None:
    told, _ = masked(workflow())
    text = written(told)
    assert "11111111" not in text
    assert "get(" not in text
    assert "__CODE_BLOCK_fetch__" in text
    assert "__ID_JOB_send__" in text
    assert "__ID_EDGE_fetch->send__" in text
    assert "id" not in told["triggers"]["webhook"]


def test_what_the_model_leaves_as_it_is_comes_back_as_it_was() -> None:
    told, originals = masked(workflow())
    assert restored(read(written(told)) or {}, originals) == workflow()


def test_what_is_new_gets_ids_and_no_code_of_the_models() -> None:
    told, originals = masked(workflow())
    told["jobs"]["clean"] = {"name": "Clean", "body": "stealEverything()"}
    told["jobs"]["odd"] = {"id": "__ID_JOB_nobody__", "body": "__CODE_BLOCK_nobody__"}
    told["edges"]["send->clean"] = {"source_job": "send", "target_job": "clean"}
    back = restored(told, originals)
    assert back["jobs"]["clean"]["body"] == back["jobs"]["odd"]["body"] == NO_CODE
    ids = [
        back["jobs"]["clean"]["id"],
        back["jobs"]["odd"]["id"],
        back["edges"]["send->clean"]["id"],
    ]
    assert len({*ids}) == 3
    assert all(len(one) == 36 for one in ids)
    assert back["triggers"]["webhook"]["id"].endswith("3")


def test_no_placeholder_leaves_wherever_the_model_writes_one() -> None:
    told, originals = masked(workflow())
    told["name"] = "About __CODE_BLOCK_fetch__"
    told["jobs"]["send"]["adaptor"] = "__ID_JOB_fetch__"
    told["note"] = {"__CODE_BLOCK_gone__": ["__ID_EDGE_webhook->fetch__"]}
    back = restored(told, originals)
    mine = back["jobs"]["fetch"].pop("body")
    assert "__CODE_BLOCK_x__ is mine" in mine
    assert "__CODE_BLOCK" not in str(back)
    assert "__ID_" not in str(back)


def test_names_are_plain_and_edges_follow_them() -> None:
    told, originals = masked(workflow())
    told["jobs"]["Größe (neu)!"] = {"name": "Prüfe: Größe!"}
    told["edges"]["send->Größe (neu)!"] = {"source_job": "send", "target_job": "Größe (neu)!"}
    back = restored(told, originals)
    assert back["jobs"]["Groe neu"]["name"] == "Prufe Groe"
    assert back["edges"]["send->Groe neu"]["target_job"] == "Groe neu"


def test_a_reader_gets_no_ids_at_any_depth() -> None:
    assert "id" not in str(without_ids({"id": 1, "a": [{"id": 2, "b": {"id": 3}}]}))
    system = chat(read_only=True).messages()[0].content
    assert "11111111" not in system
    assert "get('/patients')" in system
    assert "without any YAML" in system


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"content": "", "errors": "No such job"}, "The workflow does not work:\nNo such job"),
        ({"content": "Why?", "errors": "No such job"}, "Why?\n\nThe workflow does not work"),
        ({"content": "Why?", "errors": "x", "read_only": True}, "Why?"),
    ],
)
def test_errors_are_said_unless_one_only_reads(payload: dict[str, Any], said: str) -> None:
    assert chat(**payload).messages()[-1].content.startswith(said)


@pytest.mark.parametrize(
    "payload",
    [
        {"content": None},
        {"content": ""},
        {"content": 5},
        {"content": "x", "existing_yaml": "a: [b"},
        {"content": "x", "existing_yaml": "- a"},
        {"content": "x", "existing_yaml": "a: &b 1\nc: *b"},
        {"content": "x", "existing_yaml": 5},
        {"content": "x", "history": [5]},
    ],
)
def test_what_cannot_be_read_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as refused:
        WorkflowChat.read(payload)
    assert refused.value.type == "BAD_REQUEST"


def test_words_and_workflow_are_apart() -> None:
    told, _ = masked(workflow())
    found = answered(block(written(told)))
    assert found["response"] == "Done."
    assert read(found["response_yaml"]) == workflow()
    assert found["history"][-1] == {"role": "assistant", "content": "Done."}
    assert found["usage"] == USAGE
    assert "meta" not in found
    assert chat().changes(found) == {"yaml": found["response_yaml"]}
    fenced = answered(block(f"```yaml\n{written(told)}```"))
    assert fenced["response_yaml"] == found["response_yaml"]


@pytest.mark.parametrize("yaml", ["null", "", "~"])
def test_no_workflow_is_no_change(yaml: str) -> None:
    found = answered(block(yaml))
    assert (found["response"], found["response_yaml"]) == ("Done.", None)
    assert chat().changes(found) is None
    assert chat().again(block(yaml)) is None


def test_a_workflow_that_cannot_be_read_is_asked_for_once_more() -> None:
    again = chat().again(block("jobs: [oops"))
    assert again is not None
    assert again[-2].role == "assistant"
    assert "line" in again[-1].content
    assert chat().again("Only words") is None
    told, _ = masked(workflow())
    mended = answered(block("jobs: [oops"), corrected=block(written(told)))
    assert read(mended["response_yaml"] or "") == workflow()
    given_up = answered(block("jobs: [oops"), corrected=block("no: [better"))
    assert (given_up["response"], given_up["response_yaml"]) == ("Done.", None)


def test_a_workflow_without_a_word_gets_a_sentence_and_nothing_is_an_error() -> None:
    told, _ = masked(workflow())
    only = f"<workflow_yaml>{written(told)}</workflow_yaml>"
    assert answered(only)["response"] == CONFIRMATION
    with pytest.raises(ServiceError) as empty:
        answered("  ")
    assert empty.value.type == "EMPTY_OUTPUT"


def test_meta_is_there_where_a_page_is_known() -> None:
    found = answered("Yes", context={"page_name": "Patients"})
    assert found["meta"] == {"last_page": {"type": "workflow", "name": "Patients"}}
    assert found["history"][-2]["content"] == "[pg:workflow/Patients] Help"


def test_a_reader_never_gets_a_workflow() -> None:
    assert answered(block("name: x"), read_only=True)["response_yaml"] is None
