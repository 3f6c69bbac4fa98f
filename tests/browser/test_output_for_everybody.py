"""The pages of one output for people who see, hear or hold a screen differently."""

from __future__ import annotations

from collections.abc import Callable

from app import jobs
from app.jobs import JobRequest
from tests.browser.looking import faults_in_both_themes, fits
from tests.support.browser import Person
from tests.support.platform import Platform

Someone = Callable[..., Person]
PLACES = (
    "",
    "?tab=raw",
    "?tab=prompt",
    "?tab=context",
    "?tab=attempts",
    "?tab=lineage",
    "?tab=trace",
    "/regenerate",
    "/erase",
)


def outputs(platform: Platform, who: Person) -> list[str]:
    """Addresses of pages with much on them: of several formats and ends, and two compared."""
    made = []
    wanted = (
        {"model": "simulator/repairable", "format": "json", "context": {"topic": "bees", "x": [1]}},
        {"model": "simulator/echo", "format": "markdown"},
        {"model": "simulator/500"},
    )
    for facts in wanted:
        request = JobRequest(
            **{"template": f"Say {{{{topic}}}} and {{{{nobody}}}} {'w' * 120}", **facts}  # type: ignore[arg-type]
        )
        made.append(jobs.submit(platform.runtime, who.caller, request))
    platform.wait_ended(*made)
    first, second, failed = (job.output_id for job in made)
    return [
        *(f"/llm_outputs/{first}{place}" for place in PLACES),
        f"/llm_outputs/{second}",
        f"/llm_outputs/{failed}",
        f"/llm_outputs/{failed}?tab=attempts",
        f"/llm_outputs/{first}/compare/{second}",
    ]


def test_nothing_stands_in_anybodys_way(platform: Platform, alice: Person) -> None:
    page = alice.open()
    for address in outputs(platform, alice):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert faults_in_both_themes(page) == [], address


def test_everything_fits_a_narrow_screen(platform: Platform, someone: Someone) -> None:
    alice = someone("alice", viewport={"width": 320, "height": 640})
    alice.enter()
    page = alice.open()
    for address in outputs(platform, alice):
        page.goto(address)
        assert fits(page), address
    page.goto(address.partition("/compare")[0])
    page.get_by_text("More").click()
    box = page.locator(".output-head .menu-body").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
