"""`llm-jobs`, as a shell sees it: real processes, their output, their exit statuses.

One platform serves all tests here; each looks at its own jobs only. What `dev` does is tested in
`test_dev.py`, the client behind the remote commands in `client/`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.dev.ports import LOOPBACK, free_port
from app.prompts import library
from app.prompts.definition import from_json
from app.simulator.testing import running_simulator
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.processes import run_process
from tests.support.waiting import eventually

PROGRAM = str(Path(sys.executable).with_name("llm-jobs"))
OK, JOB_FAILED, USAGE, TIMEOUT, UNREACHABLE = range(5)
ECHO = "simulator/echo"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Its standard output, one JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Shell:
    """Runs the program in an empty directory, with these variables and none of the machine's."""

    directory: Path
    env: dict[str, str]

    def __call__(
        self, *words: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Done:
        done = subprocess.run(
            [PROGRAM, *words],
            cwd=self.directory,
            env={**self.env, **(env or {})},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err
        return Done(done.returncode, out, err)


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: SQLiteDatabases
) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("cli")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with running_platform(directory, database_url=url, web=True) as platform:
        yield platform


@pytest.fixture
def bare(tmp_path: Path) -> Shell:
    """A shell on a machine that has nothing."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    return Shell(tmp_path, env)


@pytest.fixture
def shell(bare: Shell, platform: Platform) -> Shell:
    """A shell that knows the platform and a key."""
    known = {"LLM_JOBS_URL": platform.web_url, "LLM_JOBS_API_KEY": platform.key}
    return Shell(bare.directory, bare.env | known)


@pytest.fixture
def machine(bare: Shell, platform: Platform) -> Shell:
    """A shell on the machine the platform runs on: its settings, no key."""
    names = ("DATABASE_URL", "REDIS_URL", "LLM_JOBS_SIMULATOR_URL")
    return Shell(bare.directory, bare.env | {name: platform.env[name] for name in names})


def finished(shell: Shell, *words: str) -> dict[str, Any]:
    """The row of a job that was submitted and waited for."""
    row: dict[str, Any] = shell("submit", *words, "--wait", "--json").json
    return row


# --- submitting and waiting -----------------------------------------------------------------------


def test_submit_prints_the_job_id_alone_and_wait_prints_the_answer_alone(shell: Shell) -> None:
    submitted = shell("submit", "Hi {{a}}", "--model", ECHO, "--var", "a=you")
    assert submitted.status == OK
    (job_id,) = submitted.out.split()
    waited = shell("wait", job_id)
    assert (waited.status, waited.out) == (OK, "Hi you\n")


def test_a_stored_prompt_is_submitted_with_its_work_item_and_files(
    shell: Shell, platform: Platform, tmp_path: Path
) -> None:
    asked = "<itemvalue>who</itemvalue>: <FILECONTEXT>a.txt</FILECONTEXT>"
    definition = from_json({"name": "greet", "model": ECHO, "messages": [{"content": asked}]})
    with platform.runtime.database.write() as session:
        library.store(session, platform.caller, [definition])
    (tmp_path / "a.txt").write_text("from a file")
    (tmp_path / "item.json").write_text('{"who": "ACME"}')
    words = ("--prompt", "greet@1", "--workitem", "@item.json", "--file", "a.txt", "--debug")
    row = finished(shell, *words)
    assert (row["raw_response"], row["debug"]) == ("ACME: from a file", True)
    for wrong in (("--prompt", "greet", "Hi"), (), ("Hi",), ("--prompt", "greet", "--file", "no")):
        assert shell("submit", *wrong).status == USAGE


def test_submit_gives_machines_the_three_facts_as_json(shell: Shell) -> None:
    accepted = shell("submit", "Hi", "--model", ECHO, "--json").json
    assert accepted.keys() == {"job_id", "output_id", "status"}
    assert accepted["status"] == "queued"


def test_every_word_of_submit_reaches_the_row(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text('{"a": 1, "b": "from a file"}')
    (tmp_path / "prompt.txt").write_text("Prüfe {{a}} {{b}} ☃")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    row = finished(
        shell,
        "@prompt.txt",
        *("--model", "simulator/hello", "--context", "@context.json", "--var", "b=said last"),
        *("--format", "json", "--schema", "schema.json", "--queue", "high", "--system", "Be brief"),
        *("--option", "max_tokens=500", "--idempotency-key", "every-word"),
    )
    assert row["status"] == "completed"
    assert row["prompt"] == "Prüfe 1 said last ☃"
    assert row["context"] == {"a": 1, "b": "said last"}
    assert row["response_schema"] == {"type": "object"}
    assert (row["queue"], row["system"], row["options"]) == (
        "high",
        "Be brief",
        {"max_tokens": 500},
    )


def test_an_idempotency_key_submits_once(shell: Shell) -> None:
    words = ("submit", "Hi", "--model", ECHO, "--idempotency-key", "once", "--json")
    assert shell(*words).json == shell(*words).json


def test_a_template_comes_from_standard_input(shell: Shell) -> None:
    words = ("submit", "-", "--model", ECHO, "--wait")
    assert shell(*words, stdin="Grüße aus der Pipe".encode()).out == "Grüße aus der Pipe\n"


@pytest.mark.parametrize("sent", [b"", b"  \n", b"\xff\xfe no text", b"a\0b"])
def test_standard_input_that_is_no_template_is_bad_usage(shell: Shell, sent: bytes) -> None:
    refused = shell("submit", "-", "--model", ECHO, stdin=sent)
    assert (refused.status, refused.out) == (USAGE, "")
    assert refused.err


def test_warnings_go_to_standard_error(shell: Shell) -> None:
    submitted = shell("submit", "{{unknown}}", "--model", ECHO)
    assert len(submitted.out.split()) == 1
    assert "warning: Unknown variables left as they are: unknown" in submitted.err


def test_a_failed_job_is_status_1_and_says_why(shell: Shell) -> None:
    failed = shell("submit", "Hi", "--model", "simulator/400", "--wait")
    assert (failed.status, failed.out) == (JOB_FAILED, "")
    assert failed.err.startswith("failed: provider_rejected: ")


def test_a_failed_job_is_still_shown_as_json(shell: Shell) -> None:
    failed = shell("submit", "Hi", "--model", "simulator/400", "--wait", "--json")
    assert failed.status == JOB_FAILED
    assert failed.json["error_code"] == "provider_rejected"


def test_a_job_that_takes_too_long_is_status_3_and_goes_on(
    shell: Shell, platform: Platform
) -> None:
    late = shell("submit", "Hi", "--model", "simulator/hang", "--wait", "--timeout", "0.3")
    assert (late.status, late.out) == (TIMEOUT, "")
    job_id = late.err.split()[2]
    assert shell("wait", job_id, "--timeout", "0").status == TIMEOUT
    assert shell("cancel", job_id).status == OK
    assert shell("wait", job_id, "--json").json["status"] == "cancelled"


# --- looking at jobs and acting on them -----------------------------------------------------------


def test_show_finds_a_row_by_its_number_and_by_its_job_id(shell: Shell) -> None:
    row = finished(shell, "Hi", "--model", ECHO)
    assert shell("show", str(row["id"])).json["job_id"] == row["job_id"]
    assert shell("show", row["job_id"]).json["id"] == row["id"]


def test_watch_writes_the_answer_and_ends_with_the_jobs_status(shell: Shell) -> None:
    row = finished(shell, "Hi", "--model", ECHO)
    watched = shell("watch", row["job_id"])
    assert (watched.status, watched.out, watched.err) == (OK, "Hi\n", "[completed]\n")
    failed = finished(shell, "Hi", "--model", "simulator/400")
    assert shell("watch", failed["job_id"]).status == JOB_FAILED


def test_watch_follows_a_job_that_is_being_written(shell: Shell) -> None:
    words = ("--model", "simulator/tokens-240+rate-60", "--option", "max_tokens=5000")
    job_id = shell("submit", "Hi", *words).out.strip()
    events = shell("watch", job_id, "--json").lines
    assert events[0]["event"] == "snapshot"
    assert events[-1]["event"] == "final"
    assert events[-1]["data"]["status"] == "completed"
    texts = [e["data"]["text"] for e in events if e["event"] == "delta"]
    assert "".join(texts).strip() in events[-1]["data"]["raw_response"]
    assert texts


def test_list_is_a_table_for_people_and_json_lines_for_machines(shell: Shell) -> None:
    row = finished(shell, "Tab\there", "--model", ECHO)
    head, first, *_ = shell("list", "--limit", "3").out.splitlines()
    assert head.split("\t")[:2] == ["id", "status"]
    assert first.split("\t")[:2] == [str(row["id"]), "completed"]
    (newest,) = shell("list", "--limit", "1", "--json").lines
    assert newest["id"] == row["id"]


def test_list_filters(shell: Shell) -> None:
    failed = finished(shell, "Hi", "--model", "simulator/422")
    rows = shell("list", "--status", "failed", "--model", "simulator/422", "--json").lines
    assert [row["id"] for row in rows] == [failed["id"]]
    assert shell("list", "--status", "nonsense").status == USAGE
    assert shell("list", "--limit", "0").status == USAGE


def test_a_reader_that_has_read_enough_causes_no_complaint(shell: Shell) -> None:
    finished(shell, "x" * 100_000, "--model", ECHO)
    command = f"{PROGRAM} list --json --limit 100 | head -c 1"
    done = subprocess.run(
        ["sh", "-c", command], env=shell.env, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{", b"")


def test_rerun_and_regenerate_submit_children(shell: Shell) -> None:
    parent = finished(shell, "Hi {{a}}", "--model", ECHO, "--var", "a=you")
    again = shell("rerun", parent["job_id"], "--json").json
    changed = shell("regenerate", str(parent["id"]), "--context", '{"a": "me"}', "--json").json
    rows = [shell("wait", made["job_id"], "--json").json for made in (again, changed)]
    assert [row["raw_response"] for row in rows] == ["Hi you", "Hi me"]
    assert [row["derivation"] for row in rows] == ["re_run", "regenerate"]
    assert {row["parent_id"] for row in rows} == {parent["id"]}
    plain = shell("rerun", str(parent["id"]))
    assert (plain.status, len(plain.out.split())) == (OK, 1)


def test_regenerate_takes_another_model_and_a_template_from_standard_input(shell: Shell) -> None:
    parent = finished(shell, "Hi {{a}}", "--model", ECHO, "--var", "a=you")
    words = ("regenerate", parent["job_id"], "--model", "simulator/hello", "--template", "-")
    made = shell(*words, "--json", stdin=b"Bye {{a}}").json
    row = shell("wait", made["job_id"], "--json").json
    assert (row["prompt"], row["model_name"]) == ("Bye you", "simulator/hello")


def test_feedback_is_stored_and_taken_back(shell: Shell) -> None:
    output_id = str(finished(shell, "Hi", "--model", ECHO)["id"])
    given = shell("feedback", output_id, "thumbs_up", "--comment", " good ", "--json")
    assert given.json["feedback"] == "thumbs_up"
    assert shell("show", output_id).json["feedback_comment"] == "good"
    assert shell("feedback", output_id, "none").status == OK
    assert shell("show", output_id).json["feedback"] == "none"
    assert shell("feedback", output_id, "sideways").status == USAGE


def test_cancel_ends_a_running_job_and_refuses_an_ended_one(
    shell: Shell, platform: Platform
) -> None:
    made = shell("submit", "Hi", "--model", "simulator/hang", "--json").json
    eventually(lambda: shell("show", made["job_id"]).json["status"] == "processing")
    assert shell("cancel", made["job_id"], "--json").json["cancel_requested"] is True
    ended = shell("wait", made["job_id"], "--timeout", "5")
    assert (ended.status, ended.err.split(":")[0]) == (JOB_FAILED, "cancelled")
    assert shell("cancel", made["job_id"]).status == USAGE


def test_why_says_what_a_job_waits_for_and_advance_runs_it_now(
    shell: Shell, platform: Platform
) -> None:
    bearer = {"Authorization": f"Bearer {platform.key}"}
    later = {"template": "Hi", "model": ECHO, "run_at": 3600}
    made = httpx2.post(f"{platform.web_url}/api/v1/llm_jobs", json=later, headers=bearer).json()
    assert shell("why", made["job_id"]).out.startswith("scheduled: It is to run at ")
    assert shell("why", str(made["output_id"]), "--json").json["reason"] == "scheduled"
    advanced = shell("advance", made["job_id"])
    assert (advanced.status, advanced.out) == (OK, "")
    assert shell("wait", made["job_id"], "--timeout", "30").out == "Hi\n"
    assert shell("why", made["job_id"]).out.startswith("ended: ")
    assert shell("advance", made["job_id"]).status == USAGE


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("bogus",),
        ("submit", "Hi"),
        ("submit", "Hi", "--model", "mystery-1"),
        ("submit", "Hi {{", "--model", ECHO),
        ("submit", "", "--model", ECHO),
        ("submit", "@/nonexistent", "--model", ECHO),
        ("submit", b"\xff", "--model", ECHO),
        ("submit", "Hi", "--model", ECHO, "--format", "xml"),
        ("submit", "Hi", "--model", ECHO, "--context", "{"),
        ("submit", "Hi", "--model", ECHO, "--context", "[1]"),
        ("submit", "Hi", "--model", ECHO, "--var", "no-equals-sign"),
        ("submit", "Hi", "--model", ECHO, "--option", "=1"),
        ("submit", "Hi", "--model", ECHO, "--schema", "/nonexistent"),
        ("submit", "Hi", "--model", ECHO, "--wait", "--timeout", "-1"),
        ("regenerate", "1", "--context", "null"),
        ("wait", "no-job"),
        ("watch", "no-job"),
        ("cancel", "no-job"),
        ("why", "no-job"),
        ("advance", "no-job"),
        ("show", ""),
        ("show", "99999999999999999999"),
        ("show", "../../api/v1/me"),
        ("show", "a b?c=d#e"),
        ("show", "²"),
    ],
)
def test_what_cannot_be_done_is_status_2_with_a_sentence(
    shell: Shell, words: tuple[str | bytes, ...]
) -> None:
    refused = shell(*words)
    assert (refused.status, refused.out) == (USAGE, "")
    assert refused.err.strip()


@pytest.mark.parametrize("key", ["", "wrong", "ljk_live_wrong", "schlüssel", "two\nlines"])
def test_a_missing_or_wrong_key_is_bad_usage(shell: Shell, key: str) -> None:
    refused = shell("list", env={"LLM_JOBS_API_KEY": key})
    assert (refused.status, refused.out) == (USAGE, "")
    assert "API key" in refused.err


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1", "ftp://127.0.0.1"])
def test_what_is_no_address_is_bad_usage(shell: Shell, url: str) -> None:
    refused = shell("list", env={"LLM_JOBS_URL": url})
    assert (refused.status, refused.out) == (USAGE, "")
    assert "is no address" in refused.err


def test_nobody_there_is_status_4(shell: Shell) -> None:
    away = shell("list", env={"LLM_JOBS_URL": f"http://{LOOPBACK}:{free_port()}"})
    assert (away.status, away.out) == (UNREACHABLE, "")
    assert "does not answer" in away.err


def test_ctrl_c_is_not_taken_for_a_failed_job(shell: Shell) -> None:
    job_id = shell("submit", "Hi", "--model", ECHO, "--queue", "low").out.strip()
    shell("wait", job_id)
    made = shell("submit", "Hi", "--model", "simulator/hang", "--json").json
    with run_process([PROGRAM, "watch", made["job_id"]], env=shell.env) as watching:
        watching.wait_for(r"\[(pending|processing)\]")
        watching.signal(signal.SIGINT)
        assert watching.wait() == 130
    assert shell("cancel", made["job_id"]).status == OK


def test_help_and_version_are_answers(bare: Shell) -> None:
    assert bare("--version").out.startswith("llm-jobs")
    told = bare("--help").out
    commands = "dev migrate keys submit wait show watch list rerun regenerate feedback cancel"
    for command in [*commands.split(), "workers", "doctor", "simulator"]:
        assert f"  {command} " in told
        assert bare(command, "--help").status == OK


# --- this machine ---------------------------------------------------------------------------------


def test_keys_create_prints_the_key_and_only_the_key_and_it_works(
    machine: Shell, platform: Platform
) -> None:
    made = machine("keys", "create", "--user", "Cli@example.org", "--admin", "--name", "laptop")
    assert made.status == OK
    (key,) = made.out.splitlines()
    bearer = {"Authorization": f"Bearer {key}"}
    me = httpx2.get(f"{platform.web_url}/api/v1/me", headers=bearer).json()
    assert (me["user"]["email"], me["user"]["role"]) == ("cli@example.org", "admin")

    listed = {k["id"]: k for k in machine("keys", "list", "--json").json}[me["key"]["id"]]
    assert (listed["user"], listed["state"]) == ("cli@example.org", "active")
    assert key not in machine("keys", "list").out

    assert machine("keys", "revoke", str(me["key"]["id"])).status == OK
    assert httpx2.get(f"{platform.web_url}/api/v1/me", headers=bearer).status_code == 401
    assert machine("keys", "revoke", "999999").status == USAGE


def test_a_key_may_be_limited_to_scopes_and_days(machine: Shell, platform: Platform) -> None:
    words = ("--scope", "jobs:read", "--expires-in-days", "0.5")
    made = machine("keys", "create", "--user", "reader@example.org", *words)
    bearer = {"Authorization": f"Bearer {made.out.strip()}"}
    me = httpx2.get(f"{platform.web_url}/api/v1/me", headers=bearer).json()
    assert me["scopes"] == ["jobs:read"]
    assert me["key"]["expires_at"]


@pytest.mark.parametrize(
    "words",
    [
        ("--user", "no address"),
        ("--user", ""),
        ("--user", "a@example.org", "--scope", "nonsense"),
        ("--user", "a@example.org", "--expires-in-days", "nan"),
        ("--user", "a@example.org", "--expires-in-days", "1e12"),
        ("--user", "a@example.org", "--expires-in-days", "0"),
    ],
)
def test_a_key_that_cannot_be_is_bad_usage_and_none_is_made(
    machine: Shell, words: tuple[str, ...]
) -> None:
    before = machine("keys", "list").out
    refused = machine("keys", "create", *words)
    assert (refused.status, refused.out) == (USAGE, "")
    assert machine("keys", "list").out == before


def test_workers_lists_who_has_reported(machine: Shell, platform: Platform) -> None:
    platform.wait_worker_rows(1)
    (worker,) = machine("workers", "--json").json
    assert worker["concurrency"] == 100
    assert machine("workers").out.splitlines()[0].split("\t")[0] == "name"


def test_doctor_finds_a_whole_platform_well(machine: Shell, platform: Platform) -> None:
    platform.wait_worker_rows(1)
    done = machine("doctor", "--json")
    assert [found["check"] for found in done.json] == [
        "database",
        "migrations",
        "broker",
        "workers",
        "providers",
    ]
    assert done.status == OK, done.json


def test_doctor_on_an_empty_machine_names_each_missing_part_and_touches_nothing(
    bare: Shell,
) -> None:
    nothing = {
        "DATABASE_URL": f"sqlite:///{bare.directory}/below/jobs.db",
        "REDIS_URL": f"redis://{LOOPBACK}:{free_port()}/0",
        "OLLAMA_BASE_URL": f"http://{LOOPBACK}:{free_port()}",
    }
    done = bare("doctor", "--json", env=nothing)
    assert done.status == JOB_FAILED
    assert [found["ok"] for found in done.json] == [False] * 5
    assert all(found["advice"] for found in done.json)
    assert "llm-jobs migrate" in bare("doctor", env=nothing).out
    assert list(bare.directory.iterdir()) == []


def test_doctor_shows_the_settings_in_force_and_no_secret(bare: Shell) -> None:
    secrets = {
        "OPENAI_API_KEY": "sk-canary-5f1c",
        "DATABASE_URL": "postgresql://jobs:canary-77@db.example/jobs",
        "LLM_JOBS_RETRIES": "3",
    }
    told = bare("doctor", "--settings", env=secrets)
    assert told.status == OK
    assert "* LLM_JOBS_RETRIES: 3" in told.out
    assert "* OPENAI_API_KEY: set" in told.out
    assert "  LLM_JOBS_MAX_AGE_SECONDS: " in told.out
    as_json = bare("doctor", "--settings", "--json", env=secrets)
    found = {one["name"]: one for one in as_json.json}
    assert (found["LLM_JOBS_RETRIES"]["value"], found["LLM_JOBS_RETRIES"]["is_default"]) == (
        "3",
        False,
    )
    for out in (told.out, told.err, as_json.out):
        assert "canary" not in out


def test_doctor_tells_an_old_database_from_a_missing_one(bare: Shell, tmp_path: Path) -> None:
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db"}
    (tmp_path / "jobs.db").touch()
    found = {f["check"]: f for f in bare("doctor", "--json", env=env).json}
    assert found["database"]["ok"]
    assert not found["migrations"]["ok"]
    assert found["migrations"]["advice"] == "run: llm-jobs migrate"


def test_migrate_makes_the_database_and_may_be_run_again(bare: Shell, tmp_path: Path) -> None:
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/new/jobs.db"}
    for _ in range(2):
        done = bare("migrate", env=env)
        assert (done.status, done.out) == (OK, "")
        assert "at revision" in done.err
    assert bare("keys", "list", "--json", env=env).json == []


@pytest.mark.parametrize("words", [("keys", "list"), ("workers",), ("migrate",)])
def test_a_database_that_is_away_is_status_4_and_its_password_is_not_shown(
    bare: Shell, words: tuple[str, ...]
) -> None:
    url = f"postgresql://jobs:hidden@{LOOPBACK}:{free_port()}/jobs"
    away = bare(*words, env={"DATABASE_URL": url})
    assert (away.status, away.out) == (UNREACHABLE, "")
    assert "doctor" in away.err
    assert "hidden" not in away.err


def test_a_file_that_is_no_database_is_said_to_be_none(bare: Shell, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("this is a shopping list, not a database\n" * 100)
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db"}
    assert bare("keys", "list", env=env).status == UNREACHABLE
    found = {f["check"]: f for f in bare("doctor", "--json", env=env).json}
    assert not found["database"]["ok"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://localhost/jobs"),
        ("LLM_JOBS_ENDPOINTS", "{"),
        ("LLM_JOBS_MODEL_ALIASES", '{"a": 1}'),
        ("LLM_JOBS_HEARTBEAT_SECONDS", "40"),
        ("LLM_JOBS_LEASE_SECONDS", "inf"),
        ("LLM_JOBS_NONSENSE", "1"),
        ("PORT", "99999"),
        ("OPENAI_API_KEY_FILE", "/nonexistent"),
    ],
)
def test_a_wrong_setting_is_bad_usage_and_is_named(bare: Shell, name: str, value: str) -> None:
    refused = bare("doctor", env={name: value})
    assert (refused.status, refused.out) == (USAGE, "")
    assert name in refused.err or value in refused.err


def test_the_simulator_runs_until_it_is_told_to_stop(bare: Shell) -> None:
    with run_process([PROGRAM, "simulator", "--port", "0"], env=bare.env) as running:
        url = running.wait_for(r"simulator at (\S+)")[1]
        assert httpx2.get(f"{url}/health").json() == {"status": "ok"}
        running.signal(signal.SIGINT)
        assert running.wait() in (OK, 130)


def test_a_simulator_whose_port_is_taken_says_so(bare: Shell) -> None:
    with running_simulator() as simulator:
        port = simulator.url.rpartition(":")[2]
        refused = bare("simulator", "--port", port)
    assert (refused.status, refused.out) == (USAGE, "")
    assert port in refused.err
