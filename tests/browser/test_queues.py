"""Queues in a real browser: holding back, letting go, running again, and a worker that dies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import func, select

from app import lifecycle
from models import AuditEvent, ControlKind, LLMOutput, Status
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.support.browser import Person
from tests.support.platform import Platform
from tests.support.waiting import eventually

Someone = Callable[..., Person]

_LAST_HOUR = re.compile(r"\d+ jobs completed in the last 60 minutes, at most \d+ a minute")


@pytest.fixture(autouse=True)
def nothing_paused(platform: Platform) -> Iterator[None]:
    """Whatever a test paused goes on after it."""
    yield
    with platform.runtime.database.write() as session:
        for pause in lifecycle.pauses(session):
            lifecycle.resume(session, ControlKind(pause.kind), pause.name)


def await_banner(page: Page, code: str) -> Locator:
    """The banner of a notice, after as many reloads as the page's knowledge is old."""
    banner = page.locator(f'[data-notice="{code}"]')
    eventually(lambda: banner.count() > 0 or _reloaded(page))
    return banner


def _reloaded(page: Page) -> bool:
    page.reload()
    return False


def trail(platform: Platform, person: Person) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.user_id == person.caller.user_id)
    with platform.runtime.database.read() as session:
        return list(session.scalars(query.order_by(AuditEvent.id)))


def pause_low(page: Page) -> None:
    page.get_by_role("link", name="Pause low").click()
    page.get_by_label("Why").fill("Moving house")
    page.get_by_label("How long").select_option("for an hour")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#notices")).to_contain_text("The queue low is paused.")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_paused_queue_holds_its_jobs_until_it_is_resumed(
    scripts: bool, someone: Someone, platform: Platform
) -> None:
    ada = someone("ada", admin=True, java_script_enabled=scripts)
    ada.enter()
    page = ada.open("/queues")
    pause_low(page)
    job = platform.submit(queue="low")
    page.reload()
    low = page.locator("#queue-low")
    expect(low).to_contain_text("Reason: Moving house.")
    expect(low.locator("dl")).to_contain_text("Ready1")
    expect(await_banner(page, "queue_paused")).to_contain_text("The queue low is paused")
    assert platform.row(job).status == Status.PENDING
    page.get_by_role("button", name="Resume low").click()
    expect(page.get_by_text("low goes on.")).to_be_visible()
    platform.wait_ended(job)
    assert trail(platform, ada) == ["operations.paused", "operations.resumed"]


def test_the_board_is_current_by_itself(ada: Person, platform: Platform) -> None:
    page = ada.open("/queues")
    low = page.locator("#queue-low")
    expect(low).not_to_contain_text("paused")
    with platform.runtime.database.write() as session:
        lifecycle.pause(session, ControlKind.QUEUE, "low", reason="elsewhere")
    expect(low).to_contain_text("Reason: elsewhere.", timeout=12_000)
    expect(page.locator('[data-notice="queue_paused"]')).to_be_visible(timeout=12_000)


def test_members_read_of_it_in_gentle_words(alice: Person, platform: Platform) -> None:
    with platform.runtime.database.write() as session:
        lifecycle.pause(session, ControlKind.QUEUE, "low", reason="internal-reason")
    page = alice.open("/account")
    banner = await_banner(page, "queue_paused")
    expect(banner).to_contain_text("Some jobs are held back for a while")
    assert "internal-reason" not in page.content()
    assert "queue low" not in page.content()


def test_a_paused_model_is_listed_and_resumed(ada: Person, platform: Platform) -> None:
    page = ada.open("/queues")
    page.get_by_role("link", name="Pause a model").click()
    page.get_by_label("Model").fill("simulator/echo")
    page.get_by_role("button", name="Pause").click()
    row = page.get_by_role("row", name="simulator/echo")
    expect(row).to_be_visible()
    job = platform.submit()
    page.get_by_role("button", name="Resume simulator/echo").click()
    expect(page.get_by_text("simulator/echo goes on.")).to_be_visible()
    platform.wait_ended(job)


def test_all_that_failed_of_a_class_runs_again_once(ada: Person, platform: Platform) -> None:
    jobs = platform.submit_many(3, model="simulator/401")
    failed = platform.wait_ended(*jobs)
    code = failed[0].error_code
    page = ada.open("/queues")
    page.get_by_role("link", name=f"Retry all that failed with {code}").click()
    expect(page.get_by_role("heading", name="Run 3 jobs again?")).to_be_visible()
    second = ada.open(f"/queues/failed/{code}")
    page.get_by_role("button", name="Run 3 jobs again").click()
    expect(page.get_by_text("3 jobs run again.")).to_be_visible()
    second.get_by_role("button", name="Run 3 jobs again").click()
    platform.wait_all_ended()
    ids = [job.output_id for job in jobs]
    query = select(func.count()).where(LLMOutput.parent_id.in_(ids))
    with platform.runtime.database.read() as session:
        assert session.scalar(query) == 3


def test_the_throughput_is_there_in_words_and_as_a_table(ada: Person, platform: Platform) -> None:
    platform.wait_ended(*platform.submit_many(2, queue="high"))
    page = ada.open("/queues")
    spark = page.locator("#queue-high").get_by_role("img")
    expect(spark).to_have_attribute("aria-label", _LAST_HOUR)
    page.get_by_text("Completed jobs as a table").click()
    table = page.get_by_role("table", name="Jobs completed in the last hour, by five minutes")
    expect(table.get_by_role("columnheader")).to_have_text(
        ["Minutes ago", "high", "default", "low"]
    )
    expect(table.get_by_role("row")).to_have_count(13)


def test_the_pages_of_queues_can_be_used_by_everybody(ada: Person, platform: Platform) -> None:
    platform.wait_ended(platform.submit(model="simulator/401"))
    with platform.runtime.database.write() as session:
        lifecycle.pause(session, ControlKind.QUEUE, "low", reason="a reason " * 12)
        lifecycle.pause(session, ControlKind.MODEL, "gpt-4", seconds=600, reason="budget")
    for path in ("/queues", "/queues/pause?kind=queue&name=high", "/queues/pause?kind=model"):
        page = ada.open(path)
        assert faults_in_both_themes(page) == [], path
        assert fits_a_small_screen(page), path
        page.close()


def test_a_killed_worker_is_told_of_on_every_page(ada: Person, platform: Platform) -> None:
    job = platform.submit(model="simulator/latency-60")
    platform.wait_call(job)
    page = ada.open("/queues")
    row = page.get_by_role("row", name="worker-0@test")
    expect(row).to_contain_text("alive", timeout=12_000)
    expect(row.get_by_role("link", name=str(job.output_id))).to_be_visible(timeout=12_000)
    platform.workers[0].kill()
    try:
        expect(row).to_contain_text("dead", timeout=15_000)
        expect(page.locator('[data-notice="no_worker"]')).to_be_visible(timeout=12_000)
        told = await_banner(ada.open("/account"), "no_worker")
        expect(told).to_contain_text("No worker has reported")
    finally:
        platform.workers[0].start()
    with platform.runtime.database.write() as session:
        lifecycle.cancel(session, [job.output_id])
    platform.wait_all_ended(timeout=40)
