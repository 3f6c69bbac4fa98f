"""What the services of Apollo read and say, without a job: pages, edits, answers, errors."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import Forbidden, TooManyRequests, Unauthenticated
from app.services import JobChat, ServiceError, of_failure
from app.services.asked import until
from app.services.edits import CONFIRMATION, OPENS, apply, split
from app.services.pages import add_page_prefix, has_navigated, last_page, page_of, short_adaptor

USAGE = {"input_tokens": 5, "output_tokens": 7}
LOAD = {"type": "job_code", "name": "Load", "adaptor": "fhir@5.0.0"}
ADAPTOR = "@openfn/language-fhir@5.0.0"


def read(**payload: Any) -> JobChat:
    return JobChat.read({"content": "Help", **payload})


def answered(answer: str, longest: int = 0, **payload: Any) -> dict[str, Any]:
    return read(**payload).response(answer, USAGE, longest=longest)


# Where somebody is


def test_a_prefix_has_what_is_known_of_the_page() -> None:
    assert add_page_prefix("Help", LOAD) == "[pg:job_code/Load/fhir@5.0.0] Help"
    assert add_page_prefix("Help", {"type": "workflow"}) == "[pg:workflow] Help"
    assert add_page_prefix("Help", None) == "Help"


@pytest.mark.parametrize("changed", ["type", "name", "adaptor"])
def test_one_has_navigated_when_type_name_or_adaptor_differ(changed: str) -> None:
    assert has_navigated({**LOAD, changed: "other"}, LOAD)
    assert not has_navigated(LOAD, LOAD)
    assert not has_navigated(LOAD, None)


@pytest.mark.parametrize(
    "context",
    [
        {"page": {"type": "job_code", "name": "Load"}, "adaptor": ADAPTOR},
        {"page_name": "Load", "adaptor": ADAPTOR},
        {"current_page": "Load", "adaptor": ADAPTOR},
        {"current_page": {"name": "Load", "adaptor": "fhir@5.0.0"}},
    ],
)
def test_the_page_is_read_wherever_a_request_names_it(context: dict[str, Any]) -> None:
    assert page_of(context, type="job_code") == LOAD


def test_an_adaptor_without_a_version_is_left_out() -> None:
    assert short_adaptor(ADAPTOR) == "fhir@5.0.0"
    assert short_adaptor("@openfn/language-fhir") == ""
    assert page_of({"page_name": "Load", "adaptor": "fhir"}, type="job_code") == {
        "type": "job_code",
        "name": "Load",
    }
    assert page_of({"adaptor": ADAPTOR}, type="job_code") is None


def test_the_last_page_is_the_metas_else_the_newest_users_prefix() -> None:
    history = [
        {"role": "user", "content": "[pg:job_code/Old] a"},
        {"role": "user", "content": "[pg:job_code/New [x] (y)] b"},
        {"role": "assistant", "content": "[pg:job_code/No] c"},
        {"role": "user", "content": "without"},
    ]
    assert last_page({"last_page": LOAD}, history) == LOAD
    assert last_page({}, history) == {"type": "job_code", "name": "New [x"}
    assert last_page({}, [{"role": "user", "content": "[pg:broken"}]) is None


def test_a_bracket_in_a_name_is_read_back_as_it_was() -> None:
    page = {"type": "job_code", "name": "a] b [c]"}
    said = {"role": "user", "content": add_page_prefix("Hi", page)}
    assert last_page({}, [said]) == page


def test_a_client_that_keeps_raw_history_and_returns_meta_is_seen_to_navigate() -> None:
    """What the original cannot: Lightning keeps the user's raw words, and sends `meta` back."""
    first = answered("Sure", context={"page_name": "Load", "adaptor": ADAPTOR})
    history = [
        {"role": "user", "content": "Help"},
        {"role": "assistant", "content": first["history"][-1]["content"]},
    ]
    again = {"meta": first["meta"], "history": history}
    stayed = read(context={"page_name": "Load", "adaptor": ADAPTOR}, **again)
    moved = read(context={"page_name": "Send", "adaptor": ADAPTOR}, **again)
    assert (stayed.navigated, moved.navigated) == (False, True)


# What is read


@pytest.mark.parametrize("content", [None, "", "  ", 5, ["x"]])
def test_content_is_required(content: Any) -> None:
    with pytest.raises(ServiceError) as refused:
        JobChat.read({"content": content})
    assert refused.value.to_json() == {
        "code": 400,
        "type": "BAD_REQUEST",
        "message": "'content' is required",
    }


@pytest.mark.parametrize("history", ["x", {}, [5], [{"role": "system", "content": "x"}], [{}]])
def test_a_history_that_is_none_is_refused(history: Any) -> None:
    with pytest.raises(ServiceError):
        read(history=history)


def test_a_meta_that_is_no_object_is_empty_and_unknown_keys_are_ignored() -> None:
    assert read(meta=[1], context=5, nonsense={"a": 1}).meta == {}


def test_each_part_of_the_context_that_is_there_is_a_section() -> None:
    context = {"expression": "fn(x)", "adaptor": ADAPTOR, "log": None, "input": ""}
    system = read(context=context).messages()[0].content
    assert "<expression>\nfn(x)\n</expression>" in system
    assert "<adaptor>" in system
    assert "<log>" not in system
    assert "<input>" not in system


def test_braces_and_tags_of_people_stay_what_they_wrote() -> None:
    (_, said) = read(content="{{secret}} <itemvalue>x</itemvalue>").messages()
    assert said.content == "{{secret}} <itemvalue>x</itemvalue>"


def test_how_to_propose_code_is_told_to_the_model_and_kept_in_no_history() -> None:
    asked = read(suggest_code=True)
    assert "<code_edits>" in asked.messages()[0].content
    assert "<code_edits>" not in read().messages()[0].content
    told = asked.response("Done", USAGE, longest=0)
    assert "code_edits" not in str(told["history"])


# What is answered


def test_an_answer_has_the_keys_a_lightning_reads() -> None:
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    told = answered("Do this", history=history, context={"page_name": "Load"})
    assert told["response"] == "Do this"
    assert told["suggested_code"] is None
    assert "diff" not in told
    assert told["history"] == [
        *history,
        {"role": "user", "content": "[pg:job_code/Load] Help"},
        {"role": "assistant", "content": "Do this"},
    ]
    assert history == history[:2]
    assert told["usage"] == USAGE
    assert set(told["meta"]["rag"]) == {
        "search_results",
        "search_results_sections",
        "search_queries",
        "config_version",
        "prompts_version",
        "usage",
    }


def test_a_long_answer_is_cut_where_lightning_would_lose_it() -> None:
    told = answered("x" * 20, longest=10)
    assert told["response"] == told["history"][-1]["content"] == "x" * 10


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_an_empty_answer_is_an_error(answer: str) -> None:
    with pytest.raises(ServiceError) as refused:
        answered(answer)
    assert (refused.value.code, refused.value.type) == (502, "EMPTY_OUTPUT")


def test_retrieval_that_is_reused_counts_no_usage_again() -> None:
    rag = {"search_results": ["x"], "usage": {"input_tokens": 900}}
    assert answered("a", meta={"rag": rag})["meta"]["rag"] == {"search_results": ["x"], "usage": {}}
    assert answered("a", meta={"rag": rag}, refresh_rag=True)["meta"]["rag"]["search_results"] == []
    assert answered("a", meta={"rag": {}})["meta"]["rag"]["search_queries"] == []


# Edits


def edit(old: str, new: str) -> dict[str, str]:
    return {"action": "replace", "old_code": old, "new_code": new}


def test_edits_are_applied_in_their_order_each_on_the_one_before() -> None:
    done = apply("a; b;", [edit("a", "c"), edit("c; b", "d")])
    assert (done.code, done.to_diff()) == ("d;", {"patches_applied": 2})


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([edit("x", "y")], "old_code is not there"),
        ([edit("a", "b")], "old_code occurs 2 times"),
        ([{"action": "replace", "old_code": "a; a"}], "needs old_code and new_code"),
        ([{"action": "rewrite", "new_code": ""}], "no new code"),
        ([{"action": "paint", "new_code": "x"}], "unknown action 'paint'"),
        (["rewrite"], "no object"),
        ([], "could not be read"),
    ],
)
def test_an_edit_that_cannot_be_applied_changes_nothing_and_is_said(
    edits: list[Any], why: str
) -> None:
    done = apply("a; a", edits)
    assert (done.code, done.patches) == (None, 0)
    assert why in done.to_diff()["warning"]


@pytest.mark.parametrize("code", [None, "", "  \n"])
@pytest.mark.parametrize("action", ["replace", "rewrite", "paint"])
def test_a_step_without_code_takes_the_new_code_whatever_the_action(
    code: str | None, action: str
) -> None:
    assert apply(code, [{"action": action, "old_code": "?", "new_code": "fn()"}]).code == "fn()"


def test_words_are_apart_from_the_edits_after_them() -> None:
    answer = 'Now it is.\n<code_edits>[{"action": "rewrite", "new_code": "fn()"}]</code_edits>'
    told = answered(answer, suggest_code=True, context={"expression": "x"})
    assert (told["response"], told["suggested_code"]) == ("Now it is.", "fn()")
    assert told["diff"] == {"patches_applied": 1}
    assert split("No edits") == ("No edits", None)
    assert split("Words <code_edits>nonsense")[1] == []


def test_edits_without_a_word_get_a_sentence() -> None:
    answer = '<code_edits>[{"action": "rewrite", "new_code": "fn()"}]</code_edits>'
    assert answered(answer, suggest_code=True)["response"] == CONFIRMATION


def test_no_part_of_the_edits_is_ever_shown_while_they_are_written() -> None:
    answer = 'It is <5. Done.\n<code_edits>[{"action": "rewrite"}]</code_edits>'
    shown = [until(answer[:length], OPENS) for length in range(len(answer) + 1)]
    assert all("It is <5. Done.\n".startswith(text) for text in shown)
    assert shown[-1] == "It is <5. Done."


# Errors


@pytest.mark.parametrize(
    ("code", "status", "type"),
    [
        ("rate_limited", 429, "RATE_LIMIT"),
        ("connection_failed", 503, "CONNECTION_ERROR"),
        ("timeout", 503, "CONNECTION_ERROR"),
        ("provider_denied", 401, "AUTH_ERROR"),
        ("context_too_long", 400, "PROMPT_TOO_LONG"),
        ("output_truncated", 502, "OUTPUT_TRUNCATED"),
        ("model_not_found", 404, "NOT_FOUND"),
        ("provider_failed", 500, "PROVIDER_ERROR"),
        ("whatever", 500, "INTERNAL_ERROR"),
        (None, 500, "INTERNAL_ERROR"),
    ],
)
def test_a_failed_job_is_an_error_of_a_known_type(code: str | None, status: int, type: str) -> None:
    found = of_failure(code)
    assert (found.code, found.type) == (status, type)


def test_a_limit_says_when_to_come_back() -> None:
    assert of_failure("rate_limited").to_json() == {
        "code": 429,
        "type": "RATE_LIMIT",
        "message": "Rate limit exceeded, please try again later",
        "details": {"retry_after": 60},
    }
    ours = ServiceError.of(TooManyRequests("x", retry_after_seconds=7.4))
    assert ours.to_json()["details"] == {"retry_after": 7}


def test_our_refusals_have_their_types() -> None:
    assert ServiceError.of(Unauthenticated()).type == "UNAUTHORIZED"
    assert ServiceError.of(Forbidden("no")).type == "FORBIDDEN"
