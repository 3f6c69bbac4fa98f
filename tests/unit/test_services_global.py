"""global_chat without a job: what its model sees, and what becomes of its answer."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from app.services import GlobalChat, ServiceError, attachments, skills
from app.services.edits import apply
from app.services.pages import page_at

WORKFLOW = """\
name: Mine
jobs:
  load-data:
    id: id-1
    name: Load data
    adaptor: '@openfn/language-fhir@5.0.0'
    body: load(x); load(x);
  send:
    id: id-2
    name: Send
    body: send(y);
triggers:
  webhook: {id: id-3, type: webhook}
edges:
  load-data->send: {id: id-4, source_job: load-data, target_job: send}
"""
USAGE = {"input_tokens": 1, "output_tokens": 2}


def read(**payload: Any) -> GlobalChat:
    return GlobalChat.read({"content": "Help", "workflow_yaml": WORKFLOW, **payload})


def system(**payload: Any) -> str:
    return read(**payload).messages()[0].content


def answered(answer: str, corrected: str | None = None, **payload: Any) -> dict[str, Any]:
    return read(**payload).response(answer, USAGE, longest=0, corrected=corrected)


def edits(step: str | None, new: str, old: str = "") -> str:
    action = f'"replace", "old_code": "{old}"' if old else '"rewrite"'
    named = f' step="{step}"' if step else ""
    return f'<code_edits{named}>[{{"action": {action}, "new_code": "{new}"}}]</code_edits>'


def bodies(told: dict[str, Any]) -> dict[str, str]:
    (attachment,) = told["attachments"]
    assert attachment["type"] == "workflow_yaml"
    jobs = yaml.safe_load(attachment["content"])["jobs"]
    return {key: job["body"] for key, job in jobs.items()}


# What the model sees


def test_the_model_sees_the_code_of_the_pages_step_and_no_other() -> None:
    told = system(page="workflows/Mine/Load%20data")
    assert '<code step="load-data">\nload(x); load(x);\n</code>' in told
    assert "send(y)" not in told
    assert "id-1" not in told


def test_a_step_that_the_words_name_is_seen_too() -> None:
    assert '<code step="send">\nsend(y);\n</code>' in system(content="Why does “SEND” fail?")
    assert "<code step=" not in system(content="Sending is odd")
    assert "<code step=" not in system(page="workflows/Mine/settings")


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("workflows/Mine", {"type": "workflow", "name": "Mine"}),
        ("workflows/Mine/settings", {"type": "workflow", "name": "Mine"}),
        ("/workflows/My%20own/Load/", {"type": "job_code", "name": "Load"}),
    ],
)
def test_a_page_is_a_path(path: str, page: dict[str, str]) -> None:
    at = page_at(path)
    assert at is not None
    assert at.page() == page


@pytest.mark.parametrize("path", [None, 5, "", "workflows/", "elsewhere/Mine", {"a": 1}])
def test_what_is_no_such_path_is_no_page(path: Any) -> None:
    assert page_at(path) is None
    assert read(page=path).page is None


# What becomes of an answer


def test_edits_end_up_in_the_yaml_and_nowhere_else() -> None:
    told = answered(f"Done.\n{edits('send', 'fn()')}", page="workflows/Mine/Load data")
    assert bodies(told) == {"load-data": "load(x); load(x);", "send": "fn()"}
    assert told["response"] == told["history"][-1]["content"] == "Done."
    (call,) = told["meta"]["subagent_calls"]
    assert call == {
        "agent": "job_code_agent",
        "job_key": "send",
        "diff": {"patches_applied": 1},
    }
    whole = yaml.safe_load(told["attachments"][0]["content"])
    assert whole["jobs"]["send"]["id"] == "id-2"
    assert whole["triggers"]["webhook"]["id"] == "id-3"


def test_edits_without_a_step_are_those_of_the_page() -> None:
    told = answered(edits(None, "fn()"), page="workflows/Mine/send")
    assert bodies(told)["send"] == "fn()"
    nowhere = answered(f"Words {edits(None, 'fn()')}")
    assert nowhere["attachments"] == []
    assert nowhere["meta"]["subagent_calls"][0]["diff"]["warning"] == "No step is named"


def test_a_new_step_and_its_code_come_in_one_answer() -> None:
    answer = (
        "I added it.\n<workflow_yaml>\njobs:\n"
        "  load-data: {name: Load data, id: __ID_JOB_load-data__,"
        " body: __CODE_BLOCK_load-data__}\n  log: {name: Log}\n</workflow_yaml>\n"
        + edits("log", "console.log()")
    )
    told = answered(answer)
    assert bodies(told) == {"load-data": "load(x); load(x);", "log": "console.log()"}
    assert told["meta"]["agents"] == ["workflow_agent", "job_code_agent"]
    assert "__" not in told["attachments"][0]["content"]


def test_words_alone_change_nothing() -> None:
    told = answered("It loads data.")
    assert (told["response"], told["attachments"]) == ("It loads data.", [])
    assert told["usage"] == USAGE
    assert read().changes(told) is None


def test_what_streams_is_what_comes_before_either_block() -> None:
    asked = read()
    for block in (edits("send", "x"), "<workflow_yaml>\na: 1\n</workflow_yaml>"):
        answer = f"Is 1 < 2? Yes.\n{block}"
        shown = [asked.sayable(answer[:length]) for length in range(len(answer) + 1)]
        assert all("Is 1 < 2? Yes.\n".startswith(text) for text in shown)


def test_edits_that_do_not_fit_are_asked_for_once_more() -> None:
    unfit = f"Done. {edits('load-data', 'fn()', old='load(x)')}"
    asked = read()
    messages = asked.again(unfit)
    assert messages is not None
    assert "old_code occurs 2 times" in messages[-1].content
    assert asked.again(f"Done. {edits('load-data', 'fn()')}") is None
    told = answered(unfit, corrected=edits("load-data", "fn()", old="load(x)"))
    assert bodies(told)["load-data"] == "fn(); load(x);"
    warning = told["meta"]["subagent_calls"][0]["diff"]["warning"]
    assert "the first was changed" in warning
    left = answered(unfit, corrected="")
    assert (left["attachments"], left["response"]) == ([], "Done.")


def test_a_correction_that_fits_no_better_changes_nothing() -> None:
    assert not apply("a", [{"action": "replace", "old_code": "b", "new_code": "c"}]).fits
    told = answered(edits("send", "x", old="nope"), corrected=edits("send", "x", old="nope"))
    assert told["attachments"] == []
    assert "do not fit" in told["response"]


def test_an_empty_answer_is_an_error() -> None:
    with pytest.raises(ServiceError) as refused:
        answered("  ")
    assert refused.value.type == "EMPTY_OUTPUT"


# Attachments and skills


def attached(*sent: tuple[str, Any]) -> attachments.Attached:
    return attachments.read({"attachments": [{"type": t, "content": c} for t, c in sent]})


def test_attachments_are_context_and_never_words() -> None:
    log = {"type": "log", "content": ["one", {"a": 1}]}
    asked = read(attachments=[log])
    assert "<log>\none\n{" in asked.messages()[0].content
    assert "one" not in asked.messages()[-1].content
    told = asked.response("Seen.", USAGE, longest=0)
    assert "one" not in str(told["history"])


def test_two_attachments_of_one_part_are_named() -> None:
    found = attached(("input_dataclip", {"a": 1}), ("run_input", "x"), ("run_output", "y"))
    assert found.context == {
        "input": 'input_dataclip:\n{"a":1}\n\nrun_input:\nx',
        "output": "y",
    }


def test_too_much_is_refused_by_name_and_not_by_content() -> None:
    found = attached(("log", "secret" * 10), ("run_input", "x"))
    found.check(61)
    with pytest.raises(ServiceError) as refused:
        found.check(60)
    told = refused.value.to_json()
    assert (told["code"], told["type"]) == (400, "ATTACHMENT_TOO_LARGE")
    assert told["details"] == {
        "total_characters": 61,
        "limit_characters": 60,
        "largest_attachment": {"type": "log", "characters": 60},
    }
    assert "secret" not in str(told)


def test_an_unknown_attachment_is_left_out_and_said() -> None:
    told = answered("Yes", attachments=[{"type": "video", "content": "x"}])
    assert "video" in told["meta"]["warnings"][0]
    assert "web_search" in answered("Yes", options={"web_search": True})["meta"]["warnings"][0]


@pytest.mark.parametrize(
    "payload",
    [
        {"content": None},
        {"content": "  "},
        {"history": 5},
        {"workflow_yaml": 5},
        {"workflow_yaml": "a: [b"},
        {"workflow_yaml": "- a"},
        {"attachments": {}},
        {"attachments": [5]},
        {"attachments": [{"content": "x"}]},
        {"skill": "qa"},
        {"skill": {"name": ""}},
    ],
)
def test_what_cannot_be_read_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as refused:
        read(**payload)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ("/qa Check it", "Check it"),
        ("  /qa\nCheck it", "Check it"),
        ("/qa-checklist it", "/qa-checklist it"),
        ("/qa2 it", "/qa2 it"),
        ("Use /qa", "Use /qa"),
        ("/qa", "/qa"),
    ],
)
def test_only_the_leading_name_of_the_skill_is_taken_off(content: str, left: str) -> None:
    assert skills.without_token(content, "qa") == left
