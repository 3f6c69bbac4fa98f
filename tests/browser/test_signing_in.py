"""Signing in and out, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.browser import PASSWORD, Person

Someone = Callable[..., Person]


def test_who_is_not_signed_in_comes_back_to_the_page_he_asked_for(someone: Someone) -> None:
    alice = someone("alice")
    alice.give_password()
    page = alice.open("/account?from=here")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Email").fill(alice.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/account?from=here")


def test_a_wrong_password_is_refused_in_words_that_tell_nothing(someone: Someone) -> None:
    alice = someone("alice")
    alice.give_password()
    alice.allowed.append("401")
    page = alice.open("/sign-in")
    for email in (alice.email, "nobody@example.org"):
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill("something quite wrong")
        page.get_by_role("button", name="Sign in").click()
        refusal = page.get_by_role("alert")
        expect(refusal).to_have_text("The address or the password is not right")
        expect(page.get_by_label("Email")).to_have_value(email)


def test_signing_out_ends_the_sign_in_for_every_tab(alice: Person) -> None:
    page, other = alice.open(), alice.open("/account")
    page.locator("summary.user-chip").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    other.reload()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_new_password_replaces_the_old_one(someone: Someone) -> None:
    alice = someone("alice")
    alice.allowed.append("401")
    alice.give_password()
    alice.enter()
    page = alice.open("/account")
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password").fill("another good password")
    page.get_by_role("button", name="Change password").click()
    for password, right in ((PASSWORD, False), ("another good password", True)):
        page.get_by_label("Email").fill(alice.email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        if right:
            page.wait_for_url("**/llm_outputs")
        else:
            expect(page.get_by_role("alert")).to_be_visible()


def test_the_theme_is_kept(alice: Person) -> None:
    page = alice.open()
    button = page.get_by_role("button", name="Theme: system")
    button.click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
