"""A BPMN model gives the definitions of its events and data objects, and nothing else of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.errors import PayloadTooLarge, PromptParameterInvalid, PromptTemplateInvalid
from app.prompts.definition import LONGEST_NAME, Definition, Mode, PromptMessage, Suggest
from app.prompts.documents import Read, Source, read

CLAIMS = Path(__file__).parents[1] / "data" / "imixs" / "claims.bpmn"


def model(inside: str) -> Read:
    """The definitions of a model with nothing in it but this."""
    return read(f"<definitions><process>{inside}</process></definitions>", Source.BPMN)


def event(id: str, config: str, *, tag: str = "intermediateCatchEvent") -> str:
    return (
        f'<{tag} id="{id}" name="{id}"><extensionElements><item name="workflow.result">'
        f"<value><![CDATA[{config}]]></value></item></extensionElements></{tag}>"
    )


def data_object(id: str, prompt: str, *, name: str = "") -> str:
    return (
        f'<dataObject id="{id}" name="{name or id}"><documentation><![CDATA[<PromptDefinition>'
        f"<prompt>{prompt}</prompt></PromptDefinition>]]></documentation></dataObject>"
    )


def tie(source: str, target: str) -> str:
    return f'<association sourceRef="{source}" targetRef="{target}"/>'


def flow(source: str, target: str) -> str:
    return f'<sequenceFlow id="{source}-{target}" sourceRef="{source}" targetRef="{target}"/>'


PROMPT = '<imixs-ai name="PROMPT"/>'
ASSISTANT = '<imixs-ai name="ASSISTANT"/>'


@pytest.fixture(scope="module")
def claims() -> dict[str, Definition]:
    return {d.name: d for d in read(CLAIMS.read_bytes(), Source.BPMN).definitions}


def test_each_event_and_each_data_object_alone_is_a_definition(
    claims: dict[str, Definition],
) -> None:
    assert list(claims) == [
        "Clerk",
        "Extract-Read-claim",
        "Question-Ask-clerk",
        "Question-Ask-again",
        "Large-claim",
    ]


def test_split_cdata_is_one_text(claims: dict[str, Definition]) -> None:
    assert claims["Extract-Read-claim"].first.messages == (
        PromptMessage("system", "You read claims."),
        PromptMessage(
            "user",
            "\n<FILECONTEXT>^.+\\.pdf$</FILECONTEXT>\nGive number & amount when amount < 1000.\n",
        ),
    )


def test_several_prompt_blocks_of_an_event_are_steps_with_their_own_or_the_objects_prompts(
    claims: dict[str, Definition],
) -> None:
    first, second = claims["Extract-Read-claim"].steps

    assert first.endpoint == "<propertyvalue>llm.service.endpoint</propertyvalue>"
    assert first.result_event == "JSON"
    assert first.options == {"temperature": 0, "n_predict": 64}
    assert second.messages == (
        PromptMessage("user", "Is this urgent? <itemvalue>claim.text</itemvalue>"),
    )
    assert (second.result_item, second.result_event) == ("claim.urgent", "BOOLEAN")


def test_the_suggest_block_and_debug_of_an_event_belong_to_its_definition(
    claims: dict[str, Definition],
) -> None:
    assert claims["Extract-Read-claim"].suggest == Suggest(("claim.number", "claim.amount"), "ON")
    assert claims["Extract-Read-claim"].debug is True


def test_an_assistants_event_names_the_definition_of_the_task_it_leaves(
    claims: dict[str, Definition],
) -> None:
    assistant = claims["Question-Ask-clerk"]

    assert assistant.task == "Clerk"
    assert assistant.first.mode is Mode.ASSISTANT
    assert assistant.first.context_item == "claim.talk"
    assert claims["Clerk"].first.messages[0].role == "system"


def test_an_assistants_event_that_stays_in_its_task_names_it_too(
    claims: dict[str, Definition],
) -> None:
    assert claims["Question-Ask-again"].task == "Clerk"


def test_a_condition_of_a_flow_is_a_definition(claims: dict[str, Definition]) -> None:
    assert claims["Large-claim"].first.mode is Mode.CONDITION


@pytest.mark.parametrize("ends", [("data", "event"), ("event", "data")])
def test_an_association_counts_in_either_direction(ends: tuple[str, str]) -> None:
    [definition] = model(
        event("event", PROMPT) + data_object("data", "asked") + tie(*ends)
    ).definitions

    assert definition.first.messages == (PromptMessage("user", "asked"),)
    assert definition.name == "data-event"


def test_a_reference_to_a_data_object_and_data_associations_count() -> None:
    [definition] = model(
        '<task id="t"/><dataObject id="d"><documentation>&lt;PromptDefinition>&lt;prompt>x'
        "&lt;/prompt>&lt;/PromptDefinition></documentation></dataObject>"
        '<dataObjectReference id="r" name="By reference" dataObjectRef="d"/>'
        '<endEvent id="e" name="E"><dataInputAssociation><sourceRef> r </sourceRef>'
        "</dataInputAssociation><extensionElements><item name='txtactivityresult'><value>"
        "&lt;imixs-ai name='PROMPT'/></value></item></extensionElements></endEvent>"
    ).definitions

    assert definition.name == "By-reference-E"


def test_the_first_data_object_with_a_definition_wins_and_a_form_is_none() -> None:
    found = model(
        '<dataObject id="form"><documentation>&lt;imixs-form/></documentation></dataObject>'
        + data_object("one", "first")
        + data_object("two", "second")
        + event("e", PROMPT)
        + tie("form", "e")
        + tie("one", "e")
        + tie("e", "two")
    )

    names = {definition.name: definition for definition in found.definitions}
    assert names["one-e"].first.messages[0].content == "first"
    assert found.warnings == ("Several definitions are tied to e: one is used",)


def test_an_embedded_definition_goes_before_the_data_object() -> None:
    embedded = PROMPT.replace(
        "/>", "><PromptDefinition><prompt>own</prompt></PromptDefinition></imixs-ai>"
    )
    found = model(event("e", embedded) + data_object("d", "other") + tie("d", "e"))

    assert found.definitions[-1].first.messages[0].content == "own"


def test_an_assistant_behind_another_task_does_not_take_the_first_tasks_layer() -> None:
    found = model(
        '<task id="one"/><task id="two"/>'
        + data_object("who", "I am one")
        + data_object("what", "now")
        + event("e", ASSISTANT)
        + tie("who", "one")
        + tie("what", "e")
        + flow("one", "two")
        + flow("two", "e")
    )

    assert found.definitions[-1].task is None


def test_a_task_and_its_event_may_share_a_data_object() -> None:
    found = model(
        '<userTask id="t"/>'
        + data_object("d", "x")
        + event("e", ASSISTANT, tag="boundaryEvent").replace(
            "<boundaryEvent", '<boundaryEvent attachedToRef="t"'
        )
        + tie("d", "t")
        + tie("d", "e")
    )

    assert [(d.name, d.task) for d in found.definitions] == [("d", None), ("d-e", "d")]


def test_definitions_of_one_name_are_numbered() -> None:
    long = "n" * 120
    found = model(
        "".join(data_object(f"d{n}", "x", name="Prompt") for n in range(3))
        + data_object("l1", "x", name=long)
        + data_object("l2", "x", name=long)
        + data_object("j", "x", name="名前")
    )

    names = [definition.name for definition in found.definitions]
    assert names[:3] == ["Prompt", "Prompt-2", "Prompt-3"]
    assert names[3:] == ["n" * LONGEST_NAME, "n" * (LONGEST_NAME - 2) + "-2", "definition"]


def test_blocks_are_read_when_what_stands_beside_them_is_not_well_formed() -> None:
    [definition] = model(
        event("e", 'a & b <imixs-ai name="PROMPT">\n<prompt>x</prompt></imixs-ai> <br> c')
    ).definitions

    assert definition.first.messages == (PromptMessage("user", "x"),)


def test_an_error_names_the_event_and_the_line_of_the_model() -> None:
    with pytest.raises(
        PromptTemplateInvalid, match="In event e: The XML is not well-formed"
    ) as caught:
        model(event("e", '\n\n<imixs-ai name="PROMPT"><prompt>a & b</prompt></imixs-ai>'))

    assert caught.value.details["line"] == 3


def test_an_error_names_the_data_object() -> None:
    with pytest.raises(PromptTemplateInvalid, match="In data object d: "):
        model(data_object("d", "a & b"))
    with pytest.raises(
        PromptTemplateInvalid, match=r"In data object d: .*'prompt' tag is expected"
    ):
        model(data_object("d", "x").replace("prompt>", "hint>"))


def test_an_event_whose_blocks_have_no_prompt_anywhere_is_refused() -> None:
    with pytest.raises(PromptTemplateInvalid, match=r"In event e: .*'prompt' tag is expected"):
        model(event("e", PROMPT))


def test_an_unknown_role_of_a_model_is_refused() -> None:
    with pytest.raises(PromptParameterInvalid, match="In data object d: Invalid role"):
        model(data_object("d", "x").replace("<prompt>", '<prompt role="tool">'))


@pytest.mark.parametrize("inside", ["", event("e", '<item name="action">home</item>')])
def test_a_model_without_definitions_is_refused(inside: str) -> None:
    with pytest.raises(PromptTemplateInvalid, match="The model has no event"):
        model(inside)


def test_a_model_with_a_document_type_is_refused() -> None:
    with pytest.raises(PromptTemplateInvalid, match="DTD"):
        read("<!DOCTYPE a><definitions/>", Source.BPMN)


def test_a_model_may_have_a_megabyte_and_a_hundred_definitions() -> None:
    filler = f"<documentation>{'x' * 1_000_000}</documentation>"
    hundred = "".join(data_object(f"d{n}", "x") for n in range(100))

    assert len(model(filler + data_object("d", "x")).definitions) == 1
    assert len(model(hundred).definitions) == 100
    with pytest.raises(PayloadTooLarge):
        model(filler * 2)
    with pytest.raises(PromptTemplateInvalid, match="more than 100 definitions"):
        model(hundred + data_object("one", "more"))


@pytest.mark.parametrize(
    "inside",
    [
        event("e", "<imixs-ai " * 90_000),
        event("e", "<imixs-ai>&</imixs-ai>" * 40_000),
        "<dataObject><documentation>"
        + "&lt;PromptDefinition " * 40_000
        + "</documentation></dataObject>",
        event("e", ASSISTANT) * 5_000,
        "".join(data_object(f"d{n}", "more") for n in range(4_000)),
        "".join(flow(f"n{n}", f"n{n + 1}") for n in range(10_000)),
        tie("e", "d") * 20_000,
        "<task>" * 100_000,
    ],
)
def test_hostile_models_are_refused_at_once(inside: str) -> None:
    began = time.process_time()
    with pytest.raises(PromptTemplateInvalid):
        model(inside)

    assert time.process_time() - began < 3  # a second, and others' garbage
