"""What `llm-jobs dev` will run, and with which settings: decided before anything is started.

A setting the user has made (environment, `.env`, `NAME_FILE`) always wins; what is left open gets
its embedded default here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.dev.child import Program
from app.dev.data_directory import DataDirectory
from app.dev.ports import LOOPBACK, free_port, is_free
from app.dev.procfile import shipped_procfile
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.errors import ConfigurationError
from app.settings import Settings

_WEB_GRACE_SECONDS = 12  # a little more than gunicorn gives its requests (api/gunicorn.py)
_MORE_THAN_ITS_OWN_SECONDS = 5
_FLOWER_USER = "admin"
_WILDCARDS = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the servers will listen."""

    host: str
    web_port: int
    flower_port: int
    simulator_port: int

    @property
    def ports(self) -> tuple[int, ...]:
        return self.web_port, self.flower_port, self.simulator_port

    @property
    def web(self) -> str:
        """The API and its pages, as this machine reaches them."""
        host = _WILDCARDS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.web_port}"

    @property
    def flower(self) -> str:
        return f"http://{LOOPBACK}:{self.flower_port}/flower"

    @property
    def simulator(self) -> str:
        return f"http://{LOOPBACK}:{self.simulator_port}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run. `release` runs once, after Redis; `servers` are in the order of their start.

    `redis` is None when REDIS_URL names another; `flower_auth` is `user:password`; `password` is
    what the administrator signs in to the pages with, unless there is one already.
    """

    redis: EmbeddedRedis | None
    release: Program
    servers: tuple[Program, ...]
    addresses: Addresses
    flower_auth: str = field(repr=False)
    password: str = field(repr=False)
    env: Mapping[str, str] = field(repr=False)

    @property
    def redis_program(self) -> Program | None:
        """The private Redis as a program."""
        if not self.redis:
            return None
        return Program(
            name="redis",
            command=tuple(self.redis.command),
            env=self.env,
            stdin=self.redis.configuration,
        )

    def command(self, name: str, *arguments: str) -> Program:
        """A call of our own command line, with the same settings as the servers."""
        return _own_command(name, *arguments, env=self.env)


def make_plan(settings: Settings, data: DataDirectory, *, port: int | None = None) -> Plan:
    """Choose ports, secrets and commands. `port` is the web server's; 0 means any free one.

    Raises ConfigurationError when a port that was asked for is taken, or no Redis can be had.
    """
    addresses = _choose_addresses(settings, port=port)
    chosen = settings.model_fields_set
    redis = None
    if "redis_url" not in chosen:
        its_port = free_port(but=addresses.ports)
        redis = EmbeddedRedis(program=find_redis_server(), port=its_port)
    env = _environment(settings, data, redis=redis, addresses=addresses)
    flower_auth = _flower_auth(settings, data)
    lines = shipped_procfile()
    return Plan(
        redis=redis,
        release=Program.of_shell("release", lines["release"], env=env),
        servers=(
            _simulator(addresses, env=env),
            Program.of_shell(
                "flower",
                lines["flower"],
                env={**env, **_flower_environment(flower_auth, addresses, data)},
            ),
            Program.of_shell(
                "worker",
                lines["worker"],
                env=env,
                grace_seconds=settings.shutdown_grace_seconds + _MORE_THAN_ITS_OWN_SECONDS,
            ),
            Program.of_shell("web", lines["web"], env=env, grace_seconds=_WEB_GRACE_SECONDS),
        ),
        addresses=addresses,
        flower_auth=flower_auth,
        password=_password(data),
        env=env,
    )


def _choose_addresses(settings: Settings, *, port: int | None) -> Addresses:
    chosen = settings.model_fields_set
    if port is None and "port" in chosen:
        port = settings.port
    asked = settings.flower_port if "flower_port" in chosen else None
    web = _port("PORT (or --port)", port, default=settings.port, host=settings.host)
    flower = _port("FLOWER_PORT", asked, default=settings.flower_port, host=LOOPBACK, but=(web,))
    return Addresses(
        host=settings.host,
        web_port=web,
        flower_port=flower,
        simulator_port=free_port(but=(web, flower)),
    )


def _port(
    name: str, asked: int | None, *, default: int, host: str, but: Collection[int] = ()
) -> int:
    """The port asked for, which must be free; else the default or, if that is taken, any other
    that is none of `but`.
    """
    wanted = default if asked is None else asked
    if wanted and wanted not in but and is_free(wanted, host):
        return wanted
    if asked:
        raise ConfigurationError(
            f"{name}: port {asked} of {host} is taken; choose another, or 0 for any free one"
        )
    return free_port(host, but=but)


def _environment(
    settings: Settings, data: DataDirectory, *, redis: EmbeddedRedis | None, addresses: Addresses
) -> dict[str, str]:
    embedded = {
        "DATABASE_URL": data.database_url,
        "LLM_JOBS_SECRET_KEY_FILE": str(data.secret_file("secret_key")),
        "LLM_JOBS_SIMULATOR_URL": addresses.simulator,
        "LLM_JOBS_SIMULATE_MISSING": "true",
        "FLOWER_URL": addresses.flower,
        **({"REDIS_URL": redis.url} if redis else {}),
    }
    made = {str(Settings.model_fields[name].alias) for name in settings.model_fields_set}
    return {
        **os.environ,
        **{k: v for k, v in embedded.items() if k.removesuffix("_FILE") not in made},
        "PORT": str(addresses.web_port),
        "PATH": _path_with_our_commands(),
        "PYTHONUNBUFFERED": "1",
    }


def _path_with_our_commands() -> str:
    """`celery`, `gunicorn` and `llm-jobs` of this installation before any other."""
    ours = str(Path(sys.executable).parent)
    return os.pathsep.join([ours, os.environ.get("PATH", os.defpath)])


def _password(data: DataDirectory) -> str:
    return data.secret_file("admin_password").read_text().strip()


def _flower_auth(settings: Settings, data: DataDirectory) -> str:
    if settings.flower_basic_auth:
        return settings.flower_basic_auth.get_secret_value()
    return f"{_FLOWER_USER}:{data.secret_file('flower_password').read_text().strip()}"


def _flower_environment(auth: str, addresses: Addresses, data: DataDirectory) -> dict[str, str]:
    return {
        "FLOWER_BASIC_AUTH": auth,
        "FLOWER_PORT": str(addresses.flower_port),
        "FLOWER_DB": str(data.path / "flower"),
    }


def _simulator(addresses: Addresses, *, env: Mapping[str, str]) -> Program:
    return _own_command("simulator", "simulator", "--port", str(addresses.simulator_port), env=env)


def _own_command(name: str, *arguments: str, env: Mapping[str, str]) -> Program:
    return Program(name=name, command=("llm-jobs", *arguments), env=env)
