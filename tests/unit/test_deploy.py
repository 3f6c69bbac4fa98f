"""`deploy/` names only what exists: programs, settings, secrets, metrics. No engine runs here.

What an engine would find out is in docs/how-to/deploy.md, with what was checked instead.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api import metrics
from api.metrics import METRICS
from app.dev.procfile import shipped_procfile
from app.settings import Settings
from models import Outcome, Queue, Status
from models.statistics import Recovered

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
PROGRAMS = set(shipped_procfile())
SETTINGS = {str(field.alias): field for field in Settings.model_fields.values()}
#: Read by programs we stand on (docs/reference/settings.md), or by an image's own start.
FOREIGN = {
    "FLOWER_DB",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_NO_CACHE_DIR",
}


def _documents(path: Path) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d]


def _all(kind: str) -> list[dict[str, Any]]:
    found = [d for path in MANIFESTS for d in _documents(path) if d.get("kind") == kind]
    assert found, kind
    return found


def _unknown(names: Iterator[str] | set[str]) -> set[str]:
    """Those of the names that are no setting, or a file that holds one."""
    return {n for n in names if n.removesuffix("_FILE") not in SETTINGS and n not in FOREIGN}


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s", text)
    assert found, text
    return int(found[1])


@pytest.mark.parametrize(
    "path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda p: str(p.relative_to(DEPLOY))
)
def test_every_file_can_be_read(path: Path) -> None:
    assert _documents(path)


# --- the image --------------------------------------------------------------------------------

DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def _instructions(word: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{word} +(.+)$", joined, re.MULTILINE)


def _copied() -> set[str]:
    sources = (line.split() for line in _instructions("COPY") if "--from" not in line)
    return {one for words in sources for one in words[:-1] if not one.startswith("--")}


def test_the_image_holds_every_package_and_nothing_that_is_left_out() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.search(r"^packages = \[(.+)\]", project, re.MULTILINE)
    assert packages
    assert set(re.findall(r'"(\w+)"', packages[1])) <= _copied()
    assert [name for name in _copied() if not (ROOT / name).exists()] == []
    let_in = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert _copied() == let_in


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    assert _instructions("USER")[-1].split(":")[0].isdigit()
    assert int(_instructions("USER")[-1].split(":")[0]) > 0
    (check,) = _instructions("HEALTHCHECK")
    assert "/healthz" in check
    assert json.loads(_instructions("CMD")[-1])[0] in PROGRAMS
    assert int(_instructions("EXPOSE")[0]) == SETTINGS["PORT"].default


def test_the_image_sets_only_what_exists() -> None:
    names = {n for line in _instructions("ENV") for n in re.findall(r"([A-Z_]+)=", line)}
    assert "LLM_JOBS_HOST" in names
    assert _unknown(names) == set()


# --- compose ----------------------------------------------------------------------------------

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_compose_runs_every_line_of_the_procfile_and_nothing_else_of_ours() -> None:
    ours = {name: s for name, s in SERVICES.items() if s["image"] == "llm-jobs"}
    assert {name: service["command"] for name, service in ours.items()} == {
        name: [name] for name in PROGRAMS
    }


def test_compose_sets_only_what_exists_and_gives_what_it_names() -> None:
    for name in PROGRAMS:
        service = SERVICES[name]
        assert _unknown(set(service["environment"])) == set(), name
        files = {v for k, v in service["environment"].items() if k.endswith("_FILE")}
        assert files == {f"/run/secrets/{secret}" for secret in service["secrets"]}, name
    used = {secret for s in SERVICES.values() for secret in s.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    volumes = {v.partition(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert volumes == set(COMPOSE["volumes"])


def test_no_secret_is_written_into_compose() -> None:
    for name, service in SERVICES.items():
        for key in service.get("environment", {}):
            assert not re.search(r"(PASSWORD|SECRET|AUTH|_KEY|DATABASE_URL)$", key), (name, key)


def test_each_part_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for other, wish in service.get("depends_on", {}).items():
            healthy = wish["condition"] == "service_healthy"
            assert not healthy or "test" in SERVICES[other]["healthcheck"], (name, other)
    for name in ("web", "worker"):
        wishes = {k: v["condition"] for k, v in SERVICES[name]["depends_on"].items()}
        assert wishes["release"] == "service_completed_successfully"
    assert all("healthcheck" in s or name == "web" for name, s in SERVICES.items())


def test_what_compose_opens_is_open_to_this_machine_only() -> None:
    opened = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(opened) == 2
    assert all(port.startswith("127.0.0.1:") for port in opened)


def test_compose_lets_a_stopped_worker_finish_its_calls() -> None:
    worker = SERVICES["worker"]
    grace = float(worker["environment"]["LLM_JOBS_SHUTDOWN_GRACE_SECONDS"])
    assert grace > SETTINGS["LLM_JOBS_CALL_TIMEOUT_SECONDS"].default
    assert _seconds(worker["stop_grace_period"]) > grace


def test_the_secrets_compose_names_are_made_once(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"

    def make() -> dict[str, str]:
        command = ["sh", str(DEPLOY / "secrets.sh"), str(directory)]
        subprocess.run(command, check=True, capture_output=True)
        return {p.name: p.read_text().strip() for p in directory.iterdir()}

    made = make()
    assert made.pop(".gitignore") == "*"
    assert {f"secrets/{name}" for name in made} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert directory.stat().st_mode & 0o077 == 0
    assert f":{made['database_password']}@postgres" in made["database_url"]
    assert len(made["secret_key"]) == len(made["database_password"]) == 40
    (directory / "openai_api_key").write_text("sk-kept")
    assert make() == made | {"openai_api_key": "sk-kept", ".gitignore": "*"}


# --- Kubernetes -------------------------------------------------------------------------------


def _workloads() -> dict[str, dict[str, Any]]:
    found = [*_all("Deployment"), *_all("Job")]
    return {one["metadata"]["name"]: one for one in found}


def _pods() -> dict[str, dict[str, Any]]:
    return {name: one["spec"]["template"]["spec"] for name, one in _workloads().items()}


def _containers() -> list[tuple[str, dict[str, Any]]]:
    return [(name, c) for name, pod in _pods().items() for c in pod["containers"]]


def test_kubernetes_runs_every_line_of_the_procfile() -> None:
    assert {c["args"][0] for _, c in _containers()} == PROGRAMS
    assert all(len(c["args"]) == 1 and "command" not in c for _, c in _containers())


def test_kubernetes_sets_only_what_exists() -> None:
    (settings,) = _all("ConfigMap")
    names = {e["name"] for _, container in _containers() for e in container["env"]}
    assert _unknown(names | set(settings["data"])) == set()
    Settings.model_validate(settings["data"])


def test_kubernetes_names_secrets_that_its_example_holds() -> None:
    example = {
        s["metadata"]["name"]: set(s["stringData"]) for s in _all("Secret") if "stringData" in s
    }
    for name, pod in _pods().items():
        (secret,) = [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v]
        for container in pod["containers"]:
            named = {e["value"] for e in container["env"]}
            assert named == {f"/run/secrets/llm-jobs/{key}" for key in example[secret]}, name
    assert _unknown(example["llm-jobs"] | example["llm-jobs-flower"]) == set()


def test_no_service_of_kubernetes_becomes_an_unknown_setting() -> None:
    """It would set LLM_JOBS_WEB_PORT, and FLOWER_PORT to a URL."""
    assert {name: pod["enableServiceLinks"] for name, pod in _pods().items()} == dict.fromkeys(
        _pods(), False
    )


def test_pods_have_no_rights_they_do_not_need() -> None:
    for name, pod in _pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            may = container["securityContext"]
            assert may["readOnlyRootFilesystem"], name
            assert not may["allowPrivilegeEscalation"], name
            assert may["capabilities"] == {"drop": ["ALL"]}, name


def test_volumes_are_mounted_and_mounts_have_volumes() -> None:
    for name, pod in _pods().items():
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}, name


def test_selectors_find_their_pods() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in _workloads().values()]
    selectors = [d["spec"]["selector"]["matchLabels"] for d in _all("Deployment")]
    selectors += [d["spec"]["selector"]["matchLabels"] for d in _all("PodDisruptionBudget")]
    selectors += [service["spec"]["selector"] for service in _all("Service")]
    for selector in selectors:
        assert [one for one in labels if selector.items() <= one.items()], selector
    (monitor,) = _all("ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert all(wanted <= service["metadata"]["labels"].items() for service in _all("Service"))


def test_kubernetes_lets_a_stopped_worker_finish_its_calls() -> None:
    (settings,) = _all("ConfigMap")
    call, grace = (
        float(settings["data"][f"LLM_JOBS_{name}_SECONDS"])
        for name in ("CALL_TIMEOUT", "SHUTDOWN_GRACE")
    )
    assert call < grace < _pods()["llm-jobs-worker"]["terminationGracePeriodSeconds"]


def test_kustomizations_name_files_that_exist_and_leave_none_out() -> None:
    for path in MANIFESTS:
        if path.name == "kustomization.yaml":
            (listed,) = _documents(path)
            there = {p.name for p in path.parent.glob("*.yaml")}
            assert set(listed["resources"]) == there - {path.name, "secret.example.yaml"}


def test_nothing_names_a_namespace() -> None:
    assert [
        p for p in MANIFESTS for d in _documents(p) if "namespace" in d.get("metadata", {})
    ] == []


def test_scaling_follows_deployments_that_exist_and_keeps_one_worker() -> None:
    names = {d["metadata"]["name"] for d in _all("Deployment")}
    (scaled,) = _all("ScaledObject")
    (autoscaler,) = _all("HorizontalPodAutoscaler")
    assert scaled["spec"]["scaleTargetRef"]["name"] in names
    assert autoscaler["spec"]["scaleTargetRef"]["name"] in names
    assert scaled["spec"]["minReplicaCount"] >= 1
    (trigger,) = scaled["spec"]["triggers"]
    target = int(trigger["metadata"]["targetQueryValue"])
    assert target < SETTINGS["LLM_JOBS_WORKER_CONCURRENCY"].default
    (login,) = _all("TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == login["metadata"]["name"]
    (secret,) = login["spec"]["secretTargetRef"]
    held = {s["metadata"]["name"]: s["stringData"] for s in _all("Secret")}
    assert secret["key"] in held[secret["name"]]


# --- systemd ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").iterdir()), ids=lambda p: p.name)
def test_a_unit_runs_a_line_of_the_procfile_and_sets_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (program,) = re.findall(r"^ExecStart=/opt/llm-jobs/bin/entrypoint.sh (\w+)$", text, re.M)
    assert program in PROGRAMS
    set_here = dict(
        re.findall(r"([A-Z_]+)=(\S+)", " ".join(re.findall("^Environment=(.+)", text, re.M)))
    )
    assert _unknown(set(set_here)) == set()
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.M)
    grace = float(set_here.get("LLM_JOBS_SHUTDOWN_GRACE_SECONDS", 10))
    assert int(stop) > grace


# --- what is watched --------------------------------------------------------------------------

ALERTS = [
    rule
    for group in _documents(DEPLOY / "prometheus/alerts.yaml")[0]["groups"]
    for rule in group["rules"]
]
_FLOWERS = {
    "flower_worker_online": {"worker"},
    "flower_worker_number_of_currently_executing_tasks": {"worker"},
}
SERIES = {
    name + suffix: set(metric.labels)
    for name, metric in METRICS.items()
    for suffix in (("_bucket", "_sum", "_count") if metric.type == "histogram" else ("",))
} | _FLOWERS
DASHBOARD = json.loads((DEPLOY / "grafana/llm-jobs.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_each_alert_says_what_is_the_matter_and_has_a_place_on_the_page() -> None:
    page = (ROOT / "docs/how-to/recover-from-faults.md").read_text(encoding="utf-8")
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} <= set(rule["annotations"])
        assert f"`{rule['alert']}`" in page
    assert max(Counter(rule["alert"] for rule in ALERTS).values()) == 1


def test_prometheus_is_told_where_the_metrics_and_the_rules_are() -> None:
    (found,) = _documents(DEPLOY / "prometheus/prometheus.yml")
    assert found["rule_files"] == ["alerts.yaml"]
    ours, flowers = found["scrape_configs"]
    assert ours["static_configs"] == [{"targets": [f"127.0.0.1:{SETTINGS['PORT'].default}"]}]
    port = SETTINGS["FLOWER_PORT"].default
    assert flowers["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]
    assert ours["metrics_path"] in {endpoint.path for endpoint in metrics.routes}
    assert "--url_prefix=flower " in shipped_procfile()["flower"]
    assert flowers["metrics_path"] == "/flower/metrics"


def test_each_panel_has_its_own_number_a_title_a_unit_and_words() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)), panel["title"]
    assert max(Counter(panel["title"] for panel in PANELS).values()) == 1


def test_no_panel_lies_on_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    taken = Counter(
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(taken.values()) == 1
    assert max(x for x, _ in taken) < 24


def _queries() -> dict[str, str]:
    """Every expression, by who asks it."""
    asked = {rule["alert"]: rule["expr"] for rule in ALERTS}
    return asked | {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in PANELS
        for target in panel["targets"]
    }


@pytest.mark.parametrize("asker", _queries())
def test_a_query_names_metrics_and_labels_that_exist(asker: str) -> None:
    query = _queries()[asker]
    named = re.findall(r"\b((?:llm|flower)_\w+)(?:\{([^}]*)\})?", query)
    assert named
    for name, selector in named:
        metric = SERIES.get(name)
        assert metric is not None, name
        assert set(re.findall(r"(\w+)(?:=~|!=|!~|=)", selector)) <= metric, name
    grouped = {word for by in re.findall(r"by \(([^)]*)\)", query) for word in by.split(", ")}
    assert grouped <= set.union({"le"}, *(SERIES[name] for name, _ in named)), asker


def test_counters_are_summed_over_one_process_only() -> None:
    """Every web process shows all of it: a plain sum would count twice with two of them."""
    for asker, query in _queries().items():
        if "llm_" in query and re.search(r"\bsum\b", query):
            outside = re.sub(r"max without \(instance, pod\) \((?:[^()]|\([^()]*\))*\)", "", query)
            assert "llm_" not in outside, asker


def test_each_state_a_query_picks_is_one_that_is_written() -> None:
    picked = {
        (label, word)
        for query in _queries().values()
        for label, words in re.findall(r'(\w+)=~?"([^"]+)"', query)
        for word in words.split("|")
    }
    written = {
        ("status", str(Status.FAILED)),
        ("state", "ready"),
        ("state", str(Status.PROCESSING)),
        ("queue", str(Queue.HIGH)),
        ("outcome", str(Outcome.RATE_LIMITED)),
        ("reason", str(Recovered.DEAD_WORKER)),
        ("reason", str(Recovered.POISONED)),
    }
    assert picked == written
