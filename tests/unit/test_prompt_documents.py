"""However a definition is written, it is the same one; what is no definition is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import PromptParameterInvalid
from app.prompts.definition import ROLES, from_json
from app.prompts.documents import Read, Source, read, write
from app.prompts.notation import write_yaml

WRITTEN = (Source.JSON, Source.YAML, Source.XML)
ASKING = {"messages": [{"role": "user", "content": "How long is a byte?"}]}

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
TRICKY = [
    "",
    "]]>",
    "]]]]><![CDATA[>",
    "a\r\nb\rc",
    " \n  indented\n\n",
    "\n",
    "trailing \nspace ",
    "<a>&amp;</a>",
    "yes",
    "1e5",
    "0x1f",
    "2024-01-01",
    "1:30",
    "~",
    "null",
    ".nan",
    "<<",
    "*x",
    "- a: b # c",
    "\ttab\n",
    "\x85",
    "\u2028",
    "a\u2029b",
    "\x0b\x1f\x7f\x85\u2028\ufeff\uffff",
    "--- \n...\n",
    "{{name}}",
    "<a>\r\n&\r",
]
WORDS = TEXT | st.sampled_from(TRICKY)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=3)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": WORDS}),
    min_size=1,
    max_size=3,
)
STEPS = st.fixed_dictionaries(
    {"mode": st.sampled_from(["PROMPT", "ASSISTANT", "CONDITION"]), "messages": MESSAGES},
    optional={
        "options": OBJECTS,
        "endpoint": WORDS,
        "model": WORDS,
        "result_item": WORDS,
        "result_event": WORDS,
        "context_item": WORDS,
    },
) | st.fixed_dictionaries(
    {"mode": st.just("CONDITION"), "format": st.just("json"), "response_schema": OBJECTS}
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "description": WORDS,
        "task": WORDS,
        "task_messages": MESSAGES,
        "debug": st.booleans(),
        "suggest": st.fixed_dictionaries(
            {"items": st.lists(WORDS, max_size=3), "mode": st.sampled_from(["ON", "OFF"])}
        ),
        "steps": st.lists(STEPS, min_size=1, max_size=3),
    },
).filter(lambda document: "steps" in document or "suggest" in document)

SUGGESTING_CONDITION = {"steps": [{"mode": "CONDITION"}], "suggest": {"items": ["a,b"]}}


@pytest.mark.parametrize("way", WRITTEN)
@given(document=DOCUMENTS)
@example(document=SUGGESTING_CONDITION)
def test_what_is_written_is_read_as_the_same_definition(
    way: Source, document: dict[str, Any]
) -> None:
    definition = from_json(document)

    assert read(write(definition, way), way) == Read((definition,))


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("text", TRICKY)
def test_every_text_of_a_message_comes_back_exactly(way: Source, text: str) -> None:
    definition = from_json({"messages": [{"content": text}]})

    assert read(write(definition, way), way).definitions == (definition,)


@given(document=DOCUMENTS)
def test_yaml_is_the_same_to_readers_of_the_older_yaml(document: dict[str, Any]) -> None:
    values = from_json(document).to_json()

    assert yaml.safe_load(write_yaml(values)) == values


def test_a_definition_cannot_be_written_as_bpmn() -> None:
    with pytest.raises(PromptParameterInvalid, match="choose json, yaml, xml"):
        write(from_json(ASKING), Source.BPMN)


@pytest.mark.parametrize("way", [Source.JSON, Source.YAML])
def test_one_definition_or_a_list_of_them_is_read(way: Source) -> None:
    many = [{"name": "a", **ASKING}, ASKING, ASKING]

    assert read(json.dumps(ASKING), way).definitions == (from_json(ASKING),)
    found = read(json.dumps(many), way, name="b").definitions
    assert [definition.name for definition in found] == ["a", "b", "b-2"]


def test_yaml_may_hold_several_documents() -> None:
    found = read("messages: [{content: one}]\n---\nmessages: [{content: two}]\n", Source.YAML)

    assert [d.first.messages[0].content for d in found.definitions] == ["one", "two"]


def test_yaml_reads_a_person_s_spelling() -> None:
    [definition] = read(
        "name: categorize\n"
        "messages:\n"
        "  - role: system\n"
        "    content: |\n"
        "      Sort it.\n"
        "  - content: '{{text}}'\n"
        "options: {temperature: 0.5, stop: [no, off, 2024-01-01], n_predict: 16}\n"
        "suggest: {items: [a], mode: on}\n",
        Source.YAML,
    ).definitions

    assert definition == from_json(
        {
            "name": "categorize",
            "messages": [
                {"role": "system", "content": "Sort it.\n"},
                {"role": "user", "content": "{{text}}"},
            ],
            "options": {"temperature": 0.5, "stop": ["no", "off", "2024-01-01"], "n_predict": 16},
            "suggest": {"items": ["a"], "mode": "ON"},
        }
    )


@pytest.mark.parametrize("way", [Source.JSON, Source.YAML])
def test_a_fault_in_a_list_is_pointed_at(way: Source) -> None:
    with pytest.raises(PromptParameterInvalid) as caught:
        read(json.dumps([ASKING, {"messages": [{"role": "tool", "content": "x"}]}]), way)

    assert caught.value.pointer == "/1/messages/0/role"


@pytest.mark.parametrize("way", [Source.JSON, Source.YAML])
@pytest.mark.parametrize("document", ["1", '"text"', "null", "[[]]"])
def test_what_is_no_object_is_refused(way: Source, document: str) -> None:
    with pytest.raises(PromptParameterInvalid, match="must be an object"):
        read(document, way)


def test_names_that_are_given_are_kept() -> None:
    document = json.dumps({"name": "own", **ASKING})

    assert read(document, Source.JSON, name="other").definitions[0].name == "own"


def test_a_name_is_made_of_what_a_file_is_called() -> None:
    assert read(json.dumps(ASKING), Source.JSON, name="Meine Datei (2)").definitions[0].name == (
        "Meine-Datei-2"
    )
