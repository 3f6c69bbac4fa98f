"""The table of metrics on the page is the one the platform serves."""

from __future__ import annotations

import re

from api.metrics import METRICS
from tests.docs.page import ROOT

_ROW = re.compile(r"\| `(llm_\w+)` \| (\w+) \| (.+?) \| (.+) \|")


def test_the_page_names_every_metric_as_it_is() -> None:
    text = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    told = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)), says)
        for name, kind, labels, says in _ROW.findall(text)
    }
    assert told == {name: (m.type, m.labels, m.help) for name, m in METRICS.items()}


def test_every_metric_in_a_query_exists() -> None:
    text = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bllm_\w+", text)) - {"llm_jobs"}
    assert {name.removesuffix("_bucket") for name in named} == set(METRICS)
