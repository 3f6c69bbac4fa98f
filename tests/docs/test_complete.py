"""Nothing is left out: what the platform has is named where a reader looks for it."""

from __future__ import annotations

import ast
import re
from importlib.metadata import entry_points
from pathlib import Path

import llm_jobs
from api.app import create_app
from app.errors import CallError, LLMJobsError, RequestError
from app.jobs import explain
from app.plugins import registry
from app.runtime import Runtime
from app.settings import Settings
from app.simulator.behaviour import WORDS
from docs.writers.command_line import commands
from docs.writers.errors import error_codes
from docs.writers.log_events import find
from models import LLMOutput, Status
from tests.docs.page import ROOT

#: Words for kinds of errors that are never raised themselves.
_ABSTRACT = {LLMJobsError.code, RequestError.code, CallError.code}


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _unnamed(names: object, page: str) -> list[str]:
    """Those of the names that stand nowhere on the page as code."""
    text = _page(page)
    return sorted(
        n for n in names if not re.search(rf"`[^`\n]*(?<![\w-]){re.escape(n)}(?![\w-])", text)
    )  # type: ignore[attr-defined]


def test_every_setting_is_in_the_reference() -> None:
    names = [str(field.alias) for field in Settings.model_fields.values()]
    assert _unnamed(names, "reference/settings.md") == []


def test_defaults_told_on_pages_are_those_of_the_settings() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md"))
    told = re.findall(r"`(LLM_JOBS_\w+)`(?:[ \w]{0,20}\s\(|, )(\d[\d,]*)", text)
    defaults = {str(f.alias): f.default for f in Settings.model_fields.values()}
    assert len(told) >= 4
    assert [(n, d) for n, d in told if float(d.replace(",", "")) != defaults[n]] == []


def test_every_route_is_in_the_reference(sqlite_url: str) -> None:
    runtime = Runtime.from_settings(Settings(DATABASE_URL=sqlite_url))
    page = _page("reference/http-api.md")
    rules = [
        rule
        for rule in create_app(runtime).url_map.iter_rules()
        if rule.endpoint not in ("static", "asset") and not rule.endpoint.startswith("page_")
    ]
    runtime.close()
    services = [rule.rule for rule in rules if rule.endpoint.startswith("service_")]
    apollo = _page("how-to/use-as-apollo.md")
    assert [path for path in services if f"{path}`" not in apollo] == []
    sockets = [rule.rule for rule in rules if rule.websocket and rule.rule not in services]
    chats = _page("how-to/chats.md")
    assert [path for path in sockets if re.sub(r"<row:\w+>", "<id>", path) not in chats] == []
    rules = [rule for rule in rules if rule.rule not in services and not rule.websocket]
    lost = [
        f"{method} {path}"
        for rule in rules
        for path in [re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if f"### `{method} {path}`" not in page and f"`{path}`" not in page
    ]
    assert lost == ["GET /api/v1/openapi.json"]  # the same document as /openapi.json


def test_every_error_code_is_in_the_reference_and_says_what_to_do() -> None:
    concrete = error_codes() - _ABSTRACT
    assert _unnamed(concrete | {"internal"}, "reference/errors.md") == []
    assert _unnamed(error_codes(), "how-to/troubleshoot.md") == []


def test_every_command_and_option_is_in_the_reference() -> None:
    page = _page("reference/command-line.md")
    assert [path for path, _ in commands() if f"## {path}\n" not in page] == []
    options = {o for _, c in commands() for p in c.params for o in p.opts if o.startswith("--")}
    assert _unnamed(options, "reference/command-line.md") == []


def test_every_log_event_is_in_the_reference() -> None:
    names = [event.name for event in find()]
    assert len(names) > 30
    assert _unnamed(names, "reference/log-events.md") == []


def test_every_word_of_the_simulator_is_in_the_reference() -> None:
    assert _unnamed(WORDS, "reference/simulator.md") == []


def test_every_public_name_of_the_package_is_in_the_reference() -> None:
    assert _unnamed(llm_jobs.__all__, "reference/python.md") == []


def test_every_fixture_of_the_plugin_is_in_the_guide() -> None:
    source = (ROOT / "llm_jobs/pytest_plugin.py").read_text(encoding="utf-8")
    fixtures = re.findall(r"@pytest\.fixture.*\ndef ([a-z]\w+)\(", source)
    assert len(fixtures) >= 5
    assert _unnamed(fixtures, "how-to/test-your-code.md") == []


def test_every_built_in_context_fetcher_is_in_the_guide() -> None:
    assert not list(entry_points(group="llm_jobs.plugins"))
    assert _unnamed(registry().context_fetchers.names(), "how-to/context-fetchers.md") == []


def test_every_status_and_reason_says_what_to_do() -> None:
    reasons = set(re.findall(r"`(\w+)`", (explain.why.__doc__ or "").partition("Reasons:")[2]))
    assert {"queued", "retry", "paused"} <= reasons
    assert _unnamed(reasons - {"position"} | set(Status), "how-to/troubleshoot.md") == []


def test_every_column_of_a_row_is_in_the_http_reference() -> None:
    columns = {c.key.strip("_") for c in LLMOutput.__table__.columns}
    assert (
        _unnamed(columns - {"bucket", "woken_at", "script", "file_texts"}, "reference/http-api.md")
        == []
    )


def test_every_test_of_a_fault_is_on_the_page_of_faults_and_no_other() -> None:
    tests = [p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("test_*.py")]
    marked = {name for text in tests for name in _tests_of_faults(text)}
    assert len(marked) > 30
    told = set(re.findall(r"`(test_\w+)`", _page("explanation/reliability.md")))
    assert (marked - told, told - marked) == (set(), set())


def _tests_of_faults(source: str) -> list[str]:
    """Functions that bear the mark themselves, or for one of their parameters."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any("mark.fault(" in ast.unparse(one) for one in node.decorator_list)
    ]


def test_every_page_is_reached_from_the_index() -> None:
    index = _page("README.md")
    pages = {p.relative_to(ROOT / "docs") for p in (ROOT / "docs").rglob("*.md")}
    assert sorted(str(p) for p in pages - {Path("README.md")} if f"({p})" not in index) == []
