"""Submitting and comparing, in a real browser, with scripts and without."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from models import LLMOutput
from tests.browser.looking import fits, violations
from tests.support.browser import Person
from tests.support.platform import Platform

NEW = "/llm_outputs/new"
TEMPLATE = "Explain {{concept}} to {{user.name}}"

Someone = Callable[..., Person]


def write(page: Page, template: str, **values: str) -> None:
    """Fill in the form as somebody without scripts can, too."""
    page.get_by_label("Template", exact=True).fill(template)
    detect = page.get_by_role("button", name="Detect variables")
    if detect.is_visible():
        detect.click()
    for name, value in values.items():
        page.get_by_label(name.replace("_", "."), exact=True).fill(value)
    page.get_by_label("Model", exact=True).select_option("simulator/echo")


def rows_of(platform: Platform, person: Person) -> list[LLMOutput]:
    query = select(LLMOutput).where(LLMOutput.user_id == person.caller.user_id)
    with platform.runtime.database.read() as session:
        found = list(session.scalars(query.order_by(LLMOutput.id)))
        session.expunge_all()
        return found


def test_variables_become_fields_while_one_types(alice: Person) -> None:
    page = alice.open(NEW)
    page.get_by_label("Template", exact=True).press_sequentially("{{b}} {{a.x}} {{'no'}} {{b}}")
    expect(page.locator("[data-variable] code")).to_have_text(["b", "a.x"])
    page.get_by_label("b", exact=True).fill("stays")
    page.get_by_label("Template", exact=True).fill("{{new}} {{b}}")
    expect(page.locator("[data-variable] code")).to_have_text(["new", "b"])
    expect(page.get_by_label("b", exact=True)).to_have_value("stays")


def test_fields_and_json_stay_in_step(alice: Person) -> None:
    page = alice.open(NEW)
    write(page, TEMPLATE, concept="tides")
    page.get_by_role("radio", name="JSON").check()
    area = page.get_by_label("Context as JSON")
    assert json.loads(area.input_value()) == {"concept": "tides"}
    area.fill('{"concept": {"a": 1}, "user": {"name": "Ann"}, "extra": 2}')
    page.get_by_role("radio", name="Fields").check()
    expect(page.get_by_label("concept", exact=True)).to_have_value('{"a":1}')
    expect(page.get_by_label("JSON for concept")).to_be_checked()
    expect(page.get_by_label("user.name", exact=True)).to_have_value("Ann")
    page.get_by_label("user.name", exact=True).fill("Bea")
    assert json.loads(area.input_value()) == {
        "concept": {"a": 1},
        "user": {"name": "Bea"},
        "extra": 2,
    }


def test_the_preview_follows_what_one_types(alice: Person, platform: Platform) -> None:
    page = alice.open(NEW)
    write(page, TEMPLATE, concept="tides")
    preview = page.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("Explain tides to {{user.name}}")
    expect(preview).to_contain_text("Without a value: user.name")
    page.get_by_label("user.name", exact=True).fill("Ann")
    expect(preview).to_contain_text("Explain tides to Ann")
    expect(preview).not_to_contain_text("Without a value")
    page.get_by_label("Template", exact=True).fill("{{open")
    expect(preview).to_contain_text("Unclosed tag")
    assert rows_of(platform, alice) == []


def test_the_keyboard_submits(alice: Person, platform: Platform) -> None:
    page = alice.open(NEW)
    write(page, TEMPLATE, concept="tides", user_name="Ann")
    page.get_by_label("user.name", exact=True).press("Control+Enter")
    page.wait_for_url(lambda url: not url.endswith("/new"))
    (row,) = rows_of(platform, alice)
    assert page.url.endswith(f"/llm_outputs/{row.id}")
    assert row.context == {"concept": "tides", "user": {"name": "Ann"}}
    platform.wait_ended(row.id)


def test_a_double_click_makes_one_job(alice: Person, platform: Platform) -> None:
    page = alice.open(NEW)
    write(page, "Twice")
    page.get_by_role("button", name="Submit", exact=True).dblclick(no_wait_after=True)
    page.wait_for_url(lambda url: not url.endswith("/new"))
    assert len(rows_of(platform, alice)) == 1


def test_whoever_goes_back_finds_what_he_wrote(alice: Person, platform: Platform) -> None:
    page = alice.open(NEW)
    write(page, TEMPLATE, concept="tides", user_name="Ann")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/new"))
    page.go_back()
    expect(page.get_by_label("Template", exact=True)).to_have_value(TEMPLATE)
    page.get_by_label("user.name", exact=True).fill("Bea")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/new"))
    users = [row.context and row.context["user"]["name"] for row in rows_of(platform, alice)]
    assert users == ["Ann", "Bea"]


def test_a_mistake_is_shown_beside_its_field_with_everything_kept(
    alice: Person, platform: Platform
) -> None:
    alice.allowed.append("400")
    page = alice.open(NEW)
    write(page, TEMPLATE, concept="tides")
    page.get_by_role("heading", name="Advanced").click()
    page.get_by_label("Metadata as JSON").fill("{oops")
    page.get_by_role("button", name="Submit", exact=True).click()
    area = page.get_by_label("Metadata as JSON")
    expect(area).to_have_attribute("aria-invalid", "true")
    expect(area).to_have_value("{oops")
    expect(area).to_be_visible()
    assert "not JSON" in str(
        area.evaluate(
            "e => document.getElementById(e.getAttribute('aria-describedby')).textContent"
        )
    )
    expect(page.get_by_label("concept", exact=True)).to_have_value("tides")
    area.fill("")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/new"))
    assert len(rows_of(platform, alice)) == 1


def test_what_belongs_to_a_choice_is_shown_with_it(alice: Person) -> None:
    page = alice.open(NEW)
    schema, other = page.get_by_label("JSON Schema"), page.get_by_label("Name of the other model")
    expect(schema).to_be_hidden()
    page.get_by_label("Format").select_option("json")
    expect(schema).to_be_visible()
    expect(other).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("*")
    expect(other).to_be_visible()


def test_the_example_is_one_click_and_one_more(alice: Person, platform: Platform) -> None:
    page = alice.open(NEW)
    page.get_by_role("link", name="Run an example").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("a message queue")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(lambda url: "/new" not in url)
    assert len(rows_of(platform, alice)) == 1


def test_three_models_are_compared_and_voted_on(alice: Person, platform: Platform) -> None:
    page = alice.open(NEW)
    write(page, "About {{concept}}", concept="**tides**")
    page.get_by_label("Format").select_option("markdown")
    page.get_by_role("heading", name="Compare models").click()
    page.get_by_label("Other models, one a line").fill("simulator/500\nsimulator/latency-2")
    page.get_by_role("button", name="Submit to all").click()
    page.wait_for_url("**/compare/**")
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.locator(".pill-completed")).to_have_count(2, timeout=20_000)
    expect(page.locator(".pill-failed")).to_have_count(1, timeout=20_000)
    expect(page.get_by_text("All 3 have ended")).to_be_visible()
    frame = page.frame_locator('iframe[title="Answer of simulator/latency-2"]')
    expect(frame.locator("strong").first).to_have_text("tides")
    expect(page.locator("[hx-trigger]")).to_have_count(0)
    page.get_by_role("button", name="Good answer of simulator/latency-2").click()
    good = page.get_by_role("button", name="Good answer of simulator/latency-2")
    expect(good).to_have_attribute("aria-pressed", "true")
    assert [row.feedback_word for row in rows_of(platform, alice)] == ["none", "none", "thumbs_up"]
    assert violations(page) == []
    page.get_by_role("link", name="Use as a template").click()
    expect(page.get_by_label("Template", exact=True)).to_have_value("About {{concept}}")


def test_all_of_it_works_without_scripts(someone: Someone, platform: Platform) -> None:
    alice = someone("alice", java_script_enabled=False)
    alice.enter()
    page = alice.open(NEW)
    write(page, TEMPLATE, concept="tides", user_name="Ann")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("Explain tides to Ann")
    page.get_by_role("radio", name="JSON").check()
    page.get_by_label("Context as JSON").fill('{"concept": "moons"}')
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/new"))
    (row,) = rows_of(platform, alice)
    assert row.context == {"concept": "moons"}
    page = alice.open(NEW)
    write(page, "About {{it}}", it="rain")
    page.get_by_role("heading", name="Compare models").click()
    page.get_by_label("Other models, one a line").fill("simulator/other")
    page.get_by_role("button", name="Submit to all").click()
    page.wait_for_url("**/compare/**")
    platform.wait_ended(*(row.id for row in rows_of(platform, alice)))
    page.reload()
    page.get_by_role("button", name="Bad answer of simulator/other").click()
    bad = page.get_by_role("button", name="Bad answer of simulator/other")
    expect(bad).to_have_attribute("aria-pressed", "true")
    assert rows_of(platform, alice)[-1].feedback_word == "thumbs_down"


def test_what_one_types_is_never_markup(alice: Person) -> None:
    evil = '</code></textarea><img src=x onerror="alert(1)"><script>alert(1)</script>'
    page = alice.open(NEW)
    page.on("dialog", lambda dialog: alice.faults.append(f"dialog: {dialog.message}"))
    write(page, evil + "{{<b>x</b>}} {{__proto__}} {{__proto__.y}}")
    page.get_by_label("<b>x</b>", exact=True).fill(evil)
    page.get_by_label("__proto__", exact=True).fill("odd")
    preview = page.get_by_role("region", name="Preview")
    expect(preview).to_contain_text(evil + evil)
    expect(page.locator("img")).to_have_count(0)
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/new"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_the_form(someone: Someone, theme: str) -> None:
    alice = someone("alice", color_scheme=theme)
    alice.allowed.append("400")
    alice.enter()
    page = alice.open(
        f"{NEW}?template=%7B%7Ba%7D%7D&format=json&model=mystery&strict=yes&max_tokens=5"
    )
    page.get_by_role("heading", name="Compare models").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("Not ready")
    assert violations(page) == []
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator("#e-model")).to_be_visible()
    assert violations(page) == []


def test_everything_fits_a_narrow_screen(someone: Someone, platform: Platform) -> None:
    alice = someone("alice", viewport={"width": 320, "height": 640})
    alice.enter()
    page = alice.open(NEW)
    write(page, "{{" + "a_long_name" * 20 + "}} " + "word" * 100)
    page.get_by_role("heading", name="Compare models").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("wordword")
    assert fits(page)
    page.get_by_label("Other models, one a line").fill("simulator/" + "x" * 80)
    page.get_by_role("button", name="Submit to all").click()
    page.wait_for_url("**/compare/**")
    assert fits(page)
