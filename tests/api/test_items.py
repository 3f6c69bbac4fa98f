"""Result items over HTTP: corrected, confirmed, refused, erased; and words a form may suggest."""

from __future__ import annotations

from typing import Any

from tests.api.house import OUTPUTS, House

PROMPT: dict[str, Any] = {
    "template": None,
    "prompt_xml": '<imixs-ai name="PROMPT"><model>simulator/echo</model><PromptDefinition>'
    "<prompt><FILECONTEXT>a.txt</FILECONTEXT></prompt></PromptDefinition></imixs-ai>",
    "model": None,
    "context": {},
    "files": [{"name": "a.txt", "text": "Catalog of goods, and more"}],
}


def of_prompt(house: House, *, ended: bool = True) -> str:
    """The address of the output of a definition's job of alice's."""
    fields: dict[str, Any] = {**PROMPT}
    job = house.ended(**fields) if ended else house.submit(**fields)
    return f"{OUTPUTS}/{job['output_id']}"


def review(house: House, path: str, **body: Any) -> Any:
    return house.call("PUT", f"{path}/items", as_=house.alice, json=body)


def test_a_correction_is_kept_beside_the_models_items_with_its_author(house: House) -> None:
    path = of_prompt(house)
    row = review(house, path, items={"total": 4100.0, "tags": ["a", "b"]}).get_json()
    assert row["review"]["items"] == {"total": [4100.0], "tags": ["a", "b"]}
    assert (row["review"]["confirmed"], row["review"]["by"]) == (False, "alice")
    assert row["result_items"] is None


def test_confirming_without_items_keeps_those_there_are(house: House) -> None:
    path = of_prompt(house)
    review(house, path, items={"total": 1})
    row = review(house, path, confirmed=True).get_json()
    assert (row["review"]["items"], row["review"]["confirmed"]) == ({"total": [1]}, True)


def test_the_newest_review_counts(house: House) -> None:
    path = of_prompt(house)
    for total in (1, 2, 3):
        review(house, path, items={"total": total})
    shown = house.get(path, as_=house.alice).get_json()
    assert shown["review"]["items"] == {"total": [3]}


def test_only_completed_outputs_that_are_not_erased_are_reviewed(house: House) -> None:
    assert review(house, of_prompt(house, ended=False), items={}).status_code == 409
    path = of_prompt(house)
    review(house, path, items={"total": 1})
    assert house.call("DELETE", path, as_=house.alice).status_code == 204
    assert review(house, path, items={}).status_code == 409
    assert house.get(path, as_=house.alice).get_json()["review"] is None


def test_items_without_names_or_too_many_are_refused(house: House) -> None:
    path = of_prompt(house)
    for items in ({"": 1}, {"x" * 256: 1}, {f"i{n}": n for n in range(501)}):
        assert review(house, path, items=items).status_code == 400
    assert house.get(path, as_=house.alice).get_json()["review"] is None


def test_a_forms_words_come_from_the_jobs_files(house: House) -> None:
    path = of_prompt(house)
    found = house.get(f"{path}/suggestions?q=cat", as_=house.alice).get_json()
    assert found == {
        "mode": "OFF",
        "items": [],
        "hits": ["Catalog", "Catalog of", "Catalog of goods"],
    }
    assert house.get(f"{path}/suggestions?q=c", as_=house.alice).get_json()["hits"] == []
