"""What is served is what the sources build: the style sheet and the vendored scripts."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from pathlib import Path

from api.web.assets import FOLDER
from tests.support.requirements import missing

ROOT = Path(__file__).parents[2]


def test_a_rebuild_changes_nothing(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        missing("npm", install="apt-get install nodejs npm")
    work = tmp_path / "frontend"  # beside a copy of what the style sheet is made from
    shutil.copytree(ROOT / "frontend", work, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "api" / "web" / "templates", tmp_path / "api" / "web" / "templates")
    shutil.copytree(FOLDER, tmp_path / "api" / "static" / "web")
    _run(npm, "install", "--no-save", "--silent", cwd=work)
    _run(node, "build.js", str(tmp_path / "built"), cwd=work)
    built = [p.relative_to(tmp_path / "built") for p in (tmp_path / "built").rglob("*.*")]
    assert len(built) >= 4
    changed = [
        str(name)
        for name in built
        if not filecmp.cmp(tmp_path / "built" / name, FOLDER / name, shallow=False)
    ]
    assert changed == [], "run: make css"


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
