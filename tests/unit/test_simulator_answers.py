"""What the simulated model says to the questions of prompt definitions."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from app.prompts.script import CONDITION_SYSTEM
from app.simulator.answers import say
from app.simulator.behaviour import HEALTHY
from app.simulator.question import Question

SEED = "You are a sales expert. You evaluate the following condition to 'true' or 'false'."


def said(prompt: str, *, system: str = "", **more: Any) -> str:
    spoken = (("system", system), ("user", prompt)) if system else (("user", prompt),)
    return say(Question("m", spoken, **more), HEALTHY, number=1).text


@pytest.mark.parametrize("system", [CONDITION_SYSTEM, SEED, "Answer false or true.", "true/false?"])
def test_a_question_for_true_or_false_gets_one_of_them(system: str) -> None:
    assert said("The invoice is paid", system=system) == "true"
    assert said("The invoice is not paid", system=system) == "false"


def test_a_condition_that_speaks_of_a_format_is_still_a_condition() -> None:
    assert said("The JSON is complete", system=CONDITION_SYSTEM) == "true"


def test_an_object_in_the_words_is_answered_with_the_same_members() -> None:
    asked = 'Answer with JSON such as {"invoice.total": 12.5, "cdtr.name": ""}, nothing else.'
    answer = json.loads(said("Total: 12.50", system=asked))
    assert answer == {"invoice.total": 12.5, "cdtr.name": "Total: 12.50"}


@pytest.mark.parametrize(
    "words",
    [
        "Answer with JSON. ",
        'JSON as in {"a": ',
        'JSON of the schema {"type": "object", "properties": {}}',
        'JSON, such as {"a":' * 900,
    ],
)
def test_json_without_an_example_is_an_object_of_our_own(words: str) -> None:
    assert json.loads(said(words)).keys() == {"summary", "keywords", "characters"}


def test_who_asks_for_xml_gets_xml_whatever_the_prompt_holds() -> None:
    answer = ElementTree.fromstring(said("GmbH & Co. <KG>", system="Answer in XML."))
    assert answer.findtext("summary") == "GmbH & Co. <KG>"
