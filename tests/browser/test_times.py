"""Moments as a reader elsewhere meets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.support.browser import Person
from tests.support.platform import Platform

_TITLE = re.compile(r"(.+) · (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns"])
def test_moments_are_told_in_the_readers_zone_and_in_utc(
    platform: Platform, someone: Callable[..., Person], zone: str
) -> None:
    reader = someone("reader", timezone_id=zone, locale="en-GB")
    reader.enter()
    platform.caller = reader.caller
    (row,) = platform.wait_ended(platform.submit())
    page = reader.open("/llm_outputs")
    time = page.locator(f"#row-{row.id} time")
    expect(time).to_have_attribute("title", _TITLE)
    found = _TITLE.fullmatch(time.get_attribute("title") or "")
    assert found
    moment = datetime.fromisoformat(time.get_attribute("datetime") or "")
    assert moment.strftime("%Y-%m-%d %H:%M:%S") == found[2]
    assert found[1].endswith(moment.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S"))
