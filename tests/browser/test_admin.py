"""Administration in a real browser: keys and passwords shown once, users, trials of providers."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import update

from app import accounts
from models import Role, User
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.support.browser import Person
from tests.support.platform import Platform

Someone = Callable[..., Person]

PAGES = (
    "/admin",
    "/admin/keys",
    "/admin/users",
    "/admin/agents",
    "/admin/providers",
    "/admin/prices",
    "/admin/limits",
    "/admin/settings",
    "/admin/health",
    "/admin/audit",
    "/account/keys",
)


def status_with(platform: Platform, key: str) -> int:
    """What a program gets that asks with this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.get(f"{platform.web_url}/api/v1/me", headers=headers).status_code


def create_key(page: Page, name: str) -> str:
    page.get_by_text("Create a key").click()
    page.get_by_label("What it is for").fill(name)
    page.get_by_label("It expires").select_option("in 7 days")
    page.get_by_label("jobs:read").check()
    page.get_by_role("button", name="Create key").click()
    return page.get_by_label("The new API key", exact=True).inner_text().strip()


def signed_in_as(someone: Someone, email: str, password: str) -> Page:
    """A browser of somebody who types this in."""
    browser = someone("visitor")
    page = browser.open("/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/llm_outputs*")
    return page


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_key_is_shown_once_works_and_is_ended(
    scripts: bool, someone: Someone, platform: Platform
) -> None:
    alice = someone("alice", java_script_enabled=scripts)
    alice.allowed.append("status of 409")
    alice.enter()
    page = alice.open("/account")
    page.get_by_role("link", name="Your API keys").click()
    key = create_key(page, "nightly")
    assert status_with(platform, key) == 200
    assert key not in page.url
    assert key not in str(alice.context.cookies())
    page.reload()
    expect(page.get_by_text("A key was made since this form was shown")).to_be_visible()
    assert key not in page.content()
    expect(page.get_by_role("row", name="nightly")).to_have_count(1)
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke this key").click()
    expect(page.get_by_role("row", name="nightly")).to_contain_text("revoked")
    assert status_with(platform, key) == 401


def test_a_rotated_key_leaves_the_old_one_until_it_is_revoked(
    ada: Person, platform: Platform
) -> None:
    page = ada.open("/admin/keys")
    old = create_key(page, "ingest")
    page.get_by_role("link", name="All keys").click()
    page.get_by_role("row", name="ingest").get_by_role("button", name="Rotate").click()
    new = page.get_by_label("The new API key", exact=True).inner_text().strip()
    assert (status_with(platform, old), status_with(platform, new)) == (200, 200)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke the old key").click()
    expect(page.get_by_text("is revoked.")).to_be_visible()
    assert (status_with(platform, old), status_with(platform, new)) == (401, 200)


def test_a_new_user_signs_in_with_the_generated_password(
    ada: Person, someone: Someone, platform: Platform
) -> None:
    page = ada.open("/admin/users")
    page.get_by_text("Add a user").click()
    page.get_by_label("Email").fill("dora-in-browser@example.org")
    page.get_by_label("Name").fill("Dora")
    page.get_by_role("button", name="Add user").click()
    password = page.get_by_label("The new password", exact=True).inner_text().strip()
    visitor = signed_in_as(someone, "dora-in-browser@example.org", password)
    expect(visitor.get_by_role("link", name="Admin")).to_have_count(0)
    page.get_by_role("link", name="dora-in-browser@example.org").click()
    page.get_by_label("Active").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("is changed.")).to_be_visible()
    visitor.reload()
    expect(visitor.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_last_administrator_stays_one(ada: Person, platform: Platform) -> None:
    with platform.runtime.database.write() as session:
        others = User.id != ada.caller.user_id
        session.execute(update(User).where(others).values(role=Role.MEMBER))
    ada.allowed.append("status of 409")
    page = ada.open(f"/admin/users/{ada.caller.user_id}")
    page.get_by_label("Role").select_option("member")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("This is the last active administrator")


def test_a_trial_of_a_provider_ends_completed_before_ones_eyes(
    ada: Person, platform: Platform
) -> None:
    page = ada.open("/admin/providers")
    page.get_by_role("button", name="Try simulator/echo").click()
    trial = page.locator("#trial")
    expect(trial).to_contain_text("Trial of simulator/echo")
    expect(trial).to_contain_text("completed", timeout=15_000)
    link = trial.get_by_role("link", name="Output")
    output_id = int((link.inner_text()).removeprefix("Output "))
    assert platform.row(output_id).queue == "high"
    with platform.runtime.database.read() as session:
        owner = accounts.get_user(session, accounts.OPERATOR, platform.row(output_id).user_id or 0)
    assert owner.email == ada.email


def test_pages_of_administration_can_be_used_by_everybody(ada: Person) -> None:
    for path in (*PAGES, f"/admin/users/{ada.caller.user_id}"):
        page = ada.open(path)
        for drawer in page.locator("details.reveal").all():
            drawer.evaluate("one => { one.open = true }")
        assert faults_in_both_themes(page) == [], path
        assert fits_a_small_screen(page), path
        page.close()


def test_the_key_that_was_made_can_be_read_by_everybody(ada: Person) -> None:
    page = ada.open("/admin/keys")
    create_key(page, "to be looked at")
    assert faults_in_both_themes(page) == []
    assert fits_a_small_screen(page)
