"""How a page looks to everybody: what axe finds wrong with it, and whether it fits a phone."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_SMALLEST = {"width": 320, "height": 700}


def violations(page: Page, *, only: str = "") -> list[str]:
    """What axe finds wrong, as sentences; by one of its rules `only`."""
    wanted = {"type": "rule", "values": [only]} if only else {"type": "tag", "values": _WCAG}
    options: dict[str, Any] = {"runOnly": wanted, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def faults_in_both_themes(page: Page) -> list[str]:
    """What axe finds wrong with the page in light, and with its colours in dark."""
    found = []
    for theme, only in (("light", ""), ("dark", "color-contrast")):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found += [f"{theme}: {one}" for one in violations(page, only=only)]
    return found


def fits_a_small_screen(page: Page) -> bool:
    """Whether a screen of 320 points shows it without scrolling sideways."""
    page.set_viewport_size(_SMALLEST)  # type: ignore[arg-type]
    return fits(page)


def fits(page: Page) -> bool:
    """Whether the screen, as it is, shows the page without scrolling sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
