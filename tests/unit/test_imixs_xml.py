"""Imixs-AI's XML says the same here as it says there, whichever generation wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import PromptParameterInvalid, PromptTemplateInvalid
from app.prompts.definition import Definition, Mode, PromptMessage, Suggest
from app.prompts.documents import Read, Source, read

DATA = Path(__file__).parents[1] / "data" / "imixs"


def seed(name: str) -> str:
    """A block of the seed, as it stands there."""
    return (DATA / f"{name}.xml").read_text()


def xml(text: str | bytes) -> Read:
    return read(text, Source.XML)


def only(text: str | bytes) -> Definition:
    [definition] = xml(text).definitions
    return definition


def refused(text: str | bytes) -> PromptTemplateInvalid:
    with pytest.raises(PromptTemplateInvalid) as caught:
        xml(text)
    return caught.value


# --- the seed's blocks ---------------------------------------------------------------------------


def test_the_seeds_prompt_block_gives_its_roles_options_endpoint_and_result_event() -> None:
    definition = only(seed("prompt"))

    assert definition.first.mode is Mode.PROMPT
    assert definition.first.messages == (
        PromptMessage(
            "system",
            "\n       You are a sales expert. You evaluate the following condition to 'true' or"
            " 'false'. \n    ",
        ),
        PromptMessage("user", "\n       <itemvalue>$workflowsummary</itemvalue> \n    "),
    )
    assert definition.first.options == {"n_predict": 16, "temperature": 0}
    assert definition.first.endpoint == "<propertyvalue>llm.service.endpoint</propertyvalue>"
    assert definition.first.result_event == "BOOLEAN"
    assert definition.debug is True


def test_the_seeds_bare_definition_gives_its_messages() -> None:
    assert only(seed("definition")) == Definition(
        steps=(only(seed("definition")).first,),
    )
    assert only(seed("definition")).first.messages == (
        PromptMessage("system", "You are a computer expert."),
        PromptMessage("user", "How long is a byte?"),
    )


def test_the_seeds_suggest_block_gives_its_items_and_is_off() -> None:
    definition = only(seed("suggest"))

    assert definition.suggest == Suggest(("invoice.number", "cdtr.name"), "OFF")
    assert definition.steps == ()


def test_the_seeds_assistant_block_takes_the_definition_beside_it() -> None:
    step = only(seed("assistant") + seed("definition")).first

    assert step.mode is Mode.ASSISTANT
    assert step.endpoint == "https://localhost:8080/"
    assert step.result_item == "request.response.text"
    assert step.result_event == "JSON"
    assert [message.role for message in step.messages] == ["system", "user"]


def test_the_seeds_documents_are_read_without_warnings() -> None:
    assert not any(xml(seed(name)).warnings for name in ("prompt", "definition", "suggest"))


def test_a_configuration_without_any_prompt_is_refused() -> None:
    assert "at least one 'prompt' tag is expected" in refused(seed("configuration")).message


# --- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("PROMPT", Mode.PROMPT),
        ("prompt", Mode.PROMPT),
        ("ASSIST", Mode.ASSISTANT),
        ("Assistant", Mode.ASSISTANT),
        ("condition", Mode.CONDITION),
    ],
)
def test_the_name_of_a_block_is_compared_without_case(name: str, mode: Mode) -> None:
    block = f'<imixs-ai name="{name}"><prompt>Well?</prompt></imixs-ai>'

    assert only(block).first.mode is mode


def test_several_prompt_blocks_run_in_order() -> None:
    blocks = "".join(
        f'<imixs-ai name="PROMPT"><result-item>{item}</result-item><prompt>x</prompt></imixs-ai>'
        for item in ("first", "second", "third")
    )

    assert [step.result_item for step in only(blocks).steps] == ["first", "second", "third"]


def test_only_the_first_suggest_block_is_used() -> None:
    found = xml(
        '<imixs-ai name="SUGGEST"><items>a</items></imixs-ai>'
        '<imixs-ai name="suggest"><items>b</items></imixs-ai>'
    )

    assert found.definitions[0].suggest == Suggest(("a",))
    assert found.warnings == ("Of several SUGGEST blocks the first is used",)


@pytest.mark.parametrize(
    ("word", "mode"), [("ON", "ON"), ("on", "ON"), ("off", "OFF"), ("ON|OFF", "OFF"), ("", "OFF")]
)
def test_the_mode_of_a_suggestion_is_on_or_else_off(word: str, mode: str) -> None:
    block = f'<imixs-ai name="SUGGEST"><items> a , ,b</items><mode>{word}</mode></imixs-ai>'

    assert only(block).suggest == Suggest(("a", "b"), mode)


@pytest.mark.parametrize(("word", "debug"), [("true", True), ("TRUE", True), ("yes", False)])
def test_debug_is_true_in_any_case(word: str, debug: bool) -> None:
    block = f'<imixs-ai name="PROMPT"><debug> {word} </debug><prompt>x</prompt></imixs-ai>'

    assert only(block).debug is debug


def test_a_block_keeps_the_item_of_its_conversation() -> None:
    block = '<imixs-ai name="ASSIST"><context-item>talk</context-item><prompt>x</prompt></imixs-ai>'

    assert only(block).first.context_item == "talk"


@pytest.mark.parametrize(
    "template",
    [
        "<PromptDefinition><prompt>embedded</prompt></PromptDefinition>",
        "<![CDATA[<PromptDefinition><prompt>embedded</prompt></PromptDefinition>]]>",
        '<![CDATA[ <?xml version="1.0"?><PromptData><prompt>embedded</prompt></PromptData>]]>',
    ],
)
def test_a_definition_may_be_embedded_as_prompt_template(template: str) -> None:
    block = f'<imixs-ai name="PROMPT"><prompt-template>{template}</prompt-template></imixs-ai>'

    assert only(block).first.messages == (PromptMessage("user", "embedded"),)


def test_a_condition_needs_no_prompt() -> None:
    assert only('<imixs-ai name="CONDITION"/>').first.messages == ()


def test_blocks_of_other_names_are_left_out_with_a_warning() -> None:
    found = xml(
        '<imixs-ai name="SKILL"/><imixs-ai name="PROMPT"><prompt>x</prompt></imixs-ai><imixs-ai/>'
    )

    assert len(found.definitions[0].steps) == 1
    assert [w.split(" is left out")[0] for w in found.warnings] == [
        "<imixs-ai name='SKILL'>",
        "<imixs-ai name=''>",
    ]


def test_a_document_of_blocks_nobody_knows_is_refused() -> None:
    assert (
        "There is no <imixs-ai> block of the names PROMPT"
        in refused('<imixs-ai name="SKILL"/>').message
    )


def test_more_steps_than_a_definition_may_have_are_refused() -> None:
    block = '<imixs-ai name="PROMPT"><prompt>x</prompt></imixs-ai>'

    error = refused(block * 21)

    assert "at most 20" in error.message
    assert error.details == {"line": 1, "column": 1}


# --- definitions ---------------------------------------------------------------------------------


def test_definition_parts_are_found_anywhere_below_the_root() -> None:
    step = only(
        '<PromptDefinition><all><of><options>{"a": 1}</options></of>'
        "<prompt>deep</prompt></all></PromptDefinition>"
    ).first

    assert step.messages == (PromptMessage("user", "deep"),)
    assert step.options == {"a": 1}


def test_generation_0_names_its_model() -> None:
    step = only(
        "<PromptData><model_id>mistral-7b</model_id>"
        "<prompt>[INST] &lt;&lt;CONTEXT>> [/INST]</prompt></PromptData>"
    ).first

    assert step.model == "mistral-7b"
    assert step.messages == (PromptMessage("user", "[INST] <<CONTEXT>> [/INST]"),)


def test_options_of_the_definition_go_over_those_of_the_block() -> None:
    step = only(
        '<imixs-ai name="PROMPT"><options>{"a": {"x": 1}, "b": 1}</options><PromptDefinition>'
        '<options>{"a": {"y": 2}, "c": [1, {"d": null}]}</options><prompt>x</prompt>'
        "</PromptDefinition></imixs-ai>"
    ).first

    assert step.options == {"a": {"y": 2}, "b": 1, "c": [1, {"d": None}]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('<options>{"a": 1}</options><options>{"a": 2}</options>', {"a": 1}),
        ('<prompt_options>{"a": 1}</prompt_options>', {"a": 1}),
        ('<prompt_options>{"a": 1}</prompt_options><options>{"a": 2}</options>', {"a": 2}),
        ("<options> \n </options>", None),
        ("<options>{}</options>", None),
        ("", None),
    ],
)
def test_the_first_options_count_else_the_first_prompt_options(
    options: str, expected: dict[str, int] | None
) -> None:
    found = xml(f"<PromptDefinition>{options}<prompt>x</prompt></PromptDefinition>")

    assert found.definitions[0].first.options == expected
    assert found.warnings == ()


def test_prompt_options_beside_blank_options_are_read_with_a_warning() -> None:
    found = xml(
        '<PromptDefinition><options/><prompt_options>{"a": 1}</prompt_options><prompt>x</prompt>'
        "</PromptDefinition>"
    )

    assert found.definitions[0].first.options == {"a": 1}
    assert "write <options>" in found.warnings[0]


@pytest.mark.parametrize("options", ["[1]", "1", '"a"', "{'a': 1}", '{"a": NaN}', '{"a":1,"a":2}'])
def test_options_that_are_no_json_object_are_refused(options: str) -> None:
    document = (
        f"<PromptDefinition>\n<options>{options}</options><prompt>x</prompt></PromptDefinition>"
    )

    error = refused(document)

    assert "<options>" in error.message
    assert error.details["line"] == 2


@pytest.mark.parametrize(
    ("options", "line", "column"),
    [
        ('<options>{"a": x}</options>', 2, 16),
        ('<options><![CDATA[{"a": x}]]></options>', 2, 25),
        ('<options>\n  {"a": x}</options>', 3, 9),
    ],
)
def test_json_that_cannot_be_read_is_told_where_the_document_has_it(
    options: str, line: int, column: int
) -> None:
    error = refused(f"<PromptDefinition>\n{options}<prompt>x</prompt></PromptDefinition>")

    assert error.details == {"line": line, "column": column}


@pytest.mark.parametrize("role", ["", ' role=""', ' role="  "', ' role="user"'])
def test_a_prompt_without_a_role_is_the_users(role: str) -> None:
    [message] = only(
        f"<PromptDefinition><prompt{role}>x</prompt></PromptDefinition>"
    ).first.messages

    assert message.role == "user"


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(PromptParameterInvalid, match="Invalid role 'tool'") as caught:
        xml('<PromptDefinition><prompt role="tool">x</prompt></PromptDefinition>')

    assert caught.value.code == "ERROR_INVALID_PARAMETER"
    assert caught.value.details == {"line": 1, "column": 19}


def test_messages_before_a_system_message_are_kept_as_written() -> None:
    roles = ("system", "user", "system", "user")
    prompts = "".join(f'<prompt role="{role}">{n}</prompt>' for n, role in enumerate(roles))

    messages = only(f"<PromptDefinition>{prompts}</PromptDefinition>").first.messages

    assert tuple(message.role for message in messages) == roles


def test_a_definition_without_prompts_is_refused_with_its_place() -> None:
    error = refused("<x>\n  <PromptDefinition/></x>")

    assert "at least one 'prompt' tag is expected" in error.message
    assert error.code == "ERROR_LLM_PROMPT_TEMPLATE"
    assert (error.details["line"], error.details["column"]) == (2, 3)


def test_tools_and_log_levels_are_left_out_with_a_warning() -> None:
    found = xml(
        "<PromptDefinition><tools>[]</tools><loglevel>FINE</loglevel><extra/><prompt>x</prompt>"
        "</PromptDefinition>"
    )

    assert found.warnings == (
        "<tools> is left out: tools are not run here",
        "<loglevel> is left out: use debug",
        "<extra> is left out: it is not known here",
    )


def test_several_definitions_of_a_document_are_several() -> None:
    found = read(seed("definition") * 2, Source.XML, name="two of them.xml")

    assert [d.name for d in found.definitions] == ["two-of-them.xml", "two-of-them.xml-2"]
