"""The walk-through of an invoice, and the seed's own definitions, against a running platform."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.prompts.imixs.config import read_config
from llm_jobs import Client
from tests.docs.page import ROOT
from tests.docs.platform import Platform


def walked(platform: Platform, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples/invoices"), *options],
        env={
            "PATH": os.environ["PATH"],
            "LLM_JOBS_URL": platform.url,
            "LLM_JOBS_API_KEY": platform.key,
        },
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.timeout(300)
def test_an_invoice_is_sorted_read_summarised_and_confirmed(platform: Platform) -> None:
    done = walked(platform)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "│ document.kind   │ invoice " in done.stdout
    for item in ("invoice.number", "cdtr.name", "invoice.total"):
        assert f"│ {item} " in done.stdout
    assert "invoice.summary" in done.stdout
    assert "confirmed" in done.stdout
    assert "suggests: Nordwind | Nordwind Papier | " in done.stdout
    with Client(platform.url, platform.key) as client:
        output = next(iter(client.outputs.list(template="invoices-extract")))
        assert "Nordwind Papier GmbH & Co. KG" in output.row["prompt"]
        assert output.row["review"]["confirmed"] is True
        assert output.items["ai.suggest.mode"] == ["ON"]


@pytest.mark.timeout(300)
def test_definitions_that_are_stored_already_add_no_version(platform: Platform) -> None:
    walked(platform)
    assert walked(platform).stdout.count("unchanged") == 3


@pytest.mark.timeout(300)
def test_a_failed_job_makes_the_status_1(platform: Platform) -> None:
    done = walked(platform, "--model", "simulator/400")
    assert done.returncode == 1
    assert "provider_rejected" in done.stdout


def test_the_seeds_endpoints_are_read_with_their_variables() -> None:
    file = ROOT / "examples/imixs/imixs-llm.xml"
    found = read_config(file.read_text(encoding="utf-8"), {"LLM_API_KEY": "a-key"})["my-llm"]
    assert (found.url, found.apikey) == ("http://imixs-ai-llm:8000/", "a-key")
    assert found.options["model"] == "mistral-7b"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("condition.xml", {"ai.result": [True]}),
        ("computer-expert.xml", {}),
        (
            "suggest.xml",
            {"ai.suggest.items": ["invoice.number", "cdtr.name"], "ai.suggest.mode": ["OFF"]},
        ),
    ],
)
def test_the_seeds_definitions_run_as_they_stand(
    platform: Platform, name: str, items: dict[str, list[object]]
) -> None:
    text = (ROOT / "examples/imixs" / name).read_text(encoding="utf-8")
    with Client(platform.url, platform.key) as client:
        workitem = {"$workflowsummary": "The customer ordered 400 units."}
        output = client.jobs.create(prompt_xml=text, workitem=workitem).wait()
    assert output.status == "completed", output.error_message
    assert output.items == items
