"""The Celery app that `celery -A workers.flower flower` watches, and how Flower is furnished.

Flower hears what workers say of their tasks, so it needs the broker and nothing else of ours: no
database, no provider. What it has no options for is set here, before it reads its own:

* it does not start without a password, which may come from a file (`FLOWER_BASIC_AUTH_FILE`);
* `/metrics` asks for that password, too: Flower 2.2 shows it to everybody;
* the page of a job's task leads back to the job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from flower import urls
from flower.views.monitor import Metrics
from tornado import web
from tornado.template import Loader, Template

from app.errors import ConfigurationError
from app.queue import TASK_NAME, celery_app
from app.settings import Settings, load_settings

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where one may listen
_AS_SHIPPED = "task-as-shipped.html"
_TASK_PAGE = f"""\
{{% extends "{_AS_SHIPPED}" %}}
{{% block navbar %}}
  {{% module Template("navbar.html", active_tab="tasks") %}}
  {{% if task.name == "{TASK_NAME}" %}}
  <nav class="page-section px-3 pt-3" aria-label="Job">
    <a id="job-link" href="{{{{ job_address(task.uuid) }}}}">Prompt, answer and attempts of this job
    in LLM Jobs</a>
  </nav>
  {{% end %}}
{{% end %}}
"""


def furnish(settings: Settings) -> None:
    """Set what Flower reads when it starts, which is after this.

    Raises ConfigurationError without a password, or with one Flower would misread.
    """
    os.environ["FLOWER_BASIC_AUTH"] = _passwords(settings)
    urls.settings["template_loader"] = _Pages(
        urls.settings["template_path"], namespace={"job_address": _addresses(settings)}
    )
    urls.handlers[:] = [_closed(handler) for handler in urls.handlers]


def _passwords(settings: Settings) -> str:
    """`user:password`, or several of them between commas: Flower splits there."""
    given = settings.flower_basic_auth.get_secret_value() if settings.flower_basic_auth else ""
    if not all(0 < one.find(":") < len(one) - 1 for one in given.split(",")):
        raise ConfigurationError(
            "FLOWER_BASIC_AUTH: set it to user:password; a comma separates two of them, so a"
            " password has none"
        )
    return given


def _addresses(settings: Settings) -> Callable[[str], str]:
    """job_id → where people look at that job."""
    pages = str(settings.public_url or _own_address(settings)).rstrip("/")

    def job_address(job_id: str) -> str:
        return f"{pages}/tasks/{quote(job_id, safe='')}"

    return job_address


def _own_address(settings: Settings) -> str:
    host = _WILDCARDS.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


class _Pages(Loader):
    """Flower's own templates, but for the page of a task."""

    def _create_template(self, name: str) -> Template:
        if name == "task.html":
            return Template(_TASK_PAGE, name=name, loader=self)
        return super()._create_template("task.html" if name == _AS_SHIPPED else name)


class _PrivateMetrics(Metrics):  # type: ignore[misc]
    """Flower's metrics, for those who have the password."""

    @web.authenticated
    async def get(self) -> None:
        await super().get()


def _closed(handler: Any) -> Any:
    """An entry of Flower's table of routes, which are tuples and `URLSpec`s."""
    shows_metrics = isinstance(handler, tuple) and handler[1] is Metrics
    return (handler[0], _PrivateMetrics) if shows_metrics else handler


settings = load_settings()
furnish(settings)
app = celery_app(settings)
