"""`client.documents` and `llm-jobs documents` against the real API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from app.cli import cli
from llm_jobs import ApiError, Client
from tests.integration.client.conftest import Platform


def test_documents_are_kept_found_listed_and_removed(platform: Platform) -> None:
    with Client(platform.url, platform.key) as client:
        kept = [
            client.documents.keep(f"{number}.md", f"Part {number}", "Whales.", source="sea")
            for number in range(3)
        ]
        assert [one["outcome"] for one in kept] == ["created"] * 3
        assert [d["key"] for d in client.documents.list(limit=2)] == ["2.md", "1.md", "0.md"]
        assert len(client.documents.search("whales", limit=2, source="sea")) == 2
        assert client.documents.get(kept[0]["id"])["text"] == "Whales."
        client.documents.remove(kept[0]["id"])
        with pytest.raises(ApiError, match="Unknown document"):
            client.documents.get(kept[0]["id"])


def test_files_become_documents_on_the_command_line(platform: Platform, tmp_path: Path) -> None:
    def run(*words: str) -> Result:
        where = ("--url", platform.url, "--key", platform.key)
        with capture_logs():  # the server's, which shares this process
            return CliRunner().invoke(cli, ["documents", *words, *where])

    def as_json(*words: str) -> Any:
        return json.loads(run(*words, "--json").stdout)

    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "whales.md").write_text("# On whales\n\nThey filter krill.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.md").write_text("\n")
    (kept,) = as_json("add", str(tmp_path), "--source", "sea", "--resource", "sea@1")["data"]
    assert (kept["key"], kept["title"], kept["outcome"]) == (
        "sea/whales.md",
        "On whales",
        "created",
    )
    again = run("add", str(tmp_path), "--source", "sea", "--resource", "sea@1")
    assert "unchanged" in again.stdout
    assert "They filter krill." in run("search", "krill").stdout
    assert as_json("search", "krill", "--source", "elsewhere") == []
    assert [row["id"] for row in as_json("list")] == [kept["id"]]
    assert "On whales" in run("list").stdout
    assert as_json("remove", str(kept["id"])) == {"removed": [kept["id"]]}
    assert as_json("list") == []
    assert run("add", str(tmp_path / "picture.png")).exit_code != 0
