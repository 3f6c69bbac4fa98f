"""What `llm-jobs dev` decides before it starts anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev import ports
from app.dev.data_directory import DataDirectory
from app.dev.plan import Plan, make_plan
from app.dev.ports import LOOPBACK, free_port, is_free
from app.errors import ConfigurationError
from app.settings import Settings, load_settings


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def _plan(data: DataDirectory, *, port: int | None = None) -> Plan:
    return make_plan(load_settings(), data, port=port)


def _settings(plan: Plan, monkeypatch: pytest.MonkeyPatch, *, of: str) -> Settings:
    """The settings a server of the plan will read."""
    program = next(program for program in plan.servers if program.name == of)
    for name, value in program.env.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    return load_settings()


def test_servers_start_in_the_reverse_of_the_order_they_stop_in(data: DataDirectory) -> None:
    plan = _plan(data)
    assert [p.name for p in reversed(plan.servers)] == ["web", "worker", "flower", "simulator"]


def test_the_worker_gets_longer_than_its_own_grace(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_JOBS_SHUTDOWN_GRACE_SECONDS", "7")
    worker = next(program for program in _plan(data).servers if program.name == "worker")
    assert worker.grace_seconds > 7


def test_what_is_left_open_gets_the_embedded_default(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(data)
    assert plan.redis
    settings = _settings(plan, monkeypatch, of="web")
    assert settings.database_url == data.database_url
    assert settings.redis_url == settings.broker == plan.redis.url
    assert settings.simulate_missing
    assert str(settings.simulator_url).rstrip("/") == plan.addresses.simulator
    assert settings.secret_key
    assert settings.secret_key.get_secret_value() == (data.path / "secret_key").read_text().strip()
    assert settings.port == plan.addresses.web_port
    assert settings.flower_url == plan.addresses.flower


def test_what_the_user_has_set_stays(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        "DATABASE_URL": "postgresql://db.example/jobs",
        "REDIS_URL": "redis://redis.example/0",
        "LLM_JOBS_SECRET_KEY": "mine",
        "LLM_JOBS_SIMULATE_MISSING": "false",
        "FLOWER_BASIC_AUTH": "me:my-own",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    plan = _plan(data)
    assert plan.redis is None
    assert plan.redis_program is None
    for program in plan.servers:
        if program.name == "flower":
            assert program.env["FLOWER_BASIC_AUTH"] == "me:my-own"
        assert {name: program.env[name] for name in own} == own
        assert "LLM_JOBS_SECRET_KEY_FILE" not in program.env


def test_a_setting_named_by_file_counts_as_set(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text("redis://redis.example/3\n")
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "url"))
    plan = _plan(data)
    assert plan.redis is None
    assert _settings(plan, monkeypatch, of="worker").redis_url == "redis://redis.example/3"


def test_only_flower_is_told_its_password(data: DataDirectory) -> None:
    plan = _plan(data)
    knowing = {p.name for p in plan.servers if plan.flower_auth in p.env.values()}
    assert knowing == {"flower"}


def test_no_secret_is_in_a_command_line_or_a_repr(data: DataDirectory) -> None:
    plan = _plan(data)
    assert plan.redis
    programs = [*plan.servers, plan.release, plan.redis_program]
    shown = repr(plan) + "".join(repr(program) for program in programs)
    assert plan.flower_auth not in shown
    assert plan.redis.password not in shown


def test_secrets_are_the_same_at_the_next_start(data: DataDirectory) -> None:
    assert _plan(data).flower_auth == _plan(data).flower_auth


def test_a_port_that_is_asked_for_must_be_free(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, taken_port: int
) -> None:
    with pytest.raises(ConfigurationError, match=rf"port {taken_port} .* is taken"):
        _plan(data, port=taken_port)
    monkeypatch.setenv("PORT", str(taken_port))
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="PORT"):
        _plan(data)
    monkeypatch.delenv("PORT")
    monkeypatch.setenv("FLOWER_PORT", str(taken_port))
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="FLOWER_PORT"):
        _plan(data)


def test_port_zero_is_any_free_one_and_the_option_wins(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_free(_plan(data, port=0).addresses.web_port)
    wanted = free_port()
    monkeypatch.setenv("PORT", str(free_port()))
    load_settings.cache_clear()
    plan = _plan(data, port=wanted)
    assert plan.addresses.web_port == wanted
    assert _settings(plan, monkeypatch, of="web").port == wanted


class ForgetfulKernel:
    """Gives each port twice: it was free again when it was asked for the next one."""

    def __init__(self) -> None:
        self.port = 0

    def __call__(self, host: str) -> ForgetfulKernel:
        return self

    def __enter__(self) -> ForgetfulKernel:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def bind(self, address: tuple[str, int]) -> None:
        self.port += 1

    def getsockname(self) -> tuple[str, int]:
        return LOOPBACK, 40_000 + (self.port + 1) // 2


def test_no_two_servers_get_the_same_port(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_socket_for", ForgetfulKernel())
    monkeypatch.setattr("app.dev.plan.is_free", lambda *_: False)
    plan = _plan(data, port=0)
    assert plan.redis
    assert len({*plan.addresses.ports, plan.redis.port}) == 4


def test_a_taken_default_gives_way(data: DataDirectory, taken_port: int) -> None:
    values = dict(load_settings()) | {"port": taken_port}
    settings = Settings.model_construct(_fields_set=set(), **values)
    assert is_free(make_plan(settings, data).addresses.web_port)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")],
)
def test_the_address_is_one_this_machine_can_open(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, host: str, shown: str
) -> None:
    monkeypatch.setenv("LLM_JOBS_HOST", host)
    addresses = _plan(data, port=0).addresses
    assert addresses.web == f"http://{shown}:{addresses.web_port}"
