"""The small readings of a row."""

from __future__ import annotations

from decimal import Decimal

import pytest

from models import Feedback, LLMOutput, Status


@pytest.mark.parametrize(
    ("text", "format", "shown"),
    [
        ('{"b":1,"a":[1,"ü"]}', "json", '{\n  "b": 1,\n  "a": [\n    1,\n    "ü"\n  ]\n}'),
        (" [] ", "json", "[]"),
        ("null", "json", "null"),
        ("not json", "json", "not json"),
        ("NaN", "json", "NaN"),
        ('{"a": Infinity}', "json", '{"a": Infinity}'),
        ("```json\n{}\n```", "json", "```json\n{}\n```"),
        ('prose {"a":1}', "json", 'prose {"a":1}'),
        ("[" * 100_000, "json", "[" * 100_000),
        (" [1,2] ", "text", " [1,2] "),
        ("# x ", "markdown", "# x "),
        ("<p>", "html", "<p>"),
        (None, "json", ""),
        (None, "text", ""),
        ("", "json", ""),
    ],
)
def test_formatted_output_indents_json_and_leaves_the_rest(
    text: str | None, format: str, shown: str
) -> None:
    assert LLMOutput(raw_response=text, format=format).formatted_output == shown


def test_formatted_output_shows_the_value_that_was_read() -> None:
    output = LLMOutput(raw_response="```json\n{}\n```", format="json", parsed_output={"a": 1})
    assert output.formatted_output == '{\n  "a": 1\n}'


@pytest.mark.parametrize(
    ("status", "text", "success"),
    [
        (Status.COMPLETED, "yes", True),
        (Status.COMPLETED, " \n", False),
        (Status.COMPLETED, None, False),
        (Status.FAILED, "Job failed permanently: x", False),
        (Status.CANCELLED, "half", False),
    ],
)
def test_success_needs_an_end_and_an_answer(status: str, text: str | None, success: bool) -> None:
    assert LLMOutput(status=status, raw_response=text).success is success


@pytest.mark.parametrize(("text", "tokens"), [(None, 0), ("", 0), ("abc", 0), ("a" * 41, 10)])
def test_estimated_tokens_are_a_quarter_of_the_characters(text: str | None, tokens: int) -> None:
    assert LLMOutput(raw_response=text).estimated_tokens == tokens


def test_an_unknown_price_is_no_cost_not_zero() -> None:
    assert LLMOutput().effective_cost is None
    assert LLMOutput(cost=Decimal("0.5")).effective_cost == Decimal("0.5")


def test_feedback_is_stored_as_a_number_and_shown_as_a_word() -> None:
    assert LLMOutput(feedback=Feedback.THUMBS_UP).feedback_word == "thumbs_up"
