"""Jobs for language models, from Python: submit, wait, run again, and say what an answer is worth.

    import llm_jobs

    job = llm_jobs.enqueue(
        template="Explain {{concept}}", model="gpt-4", context={"concept": "queues"}
    )
    output = job.wait()
    llm_jobs.set_feedback(output, "thumbs_up")
    llm_jobs.regenerate(output, new_context={"concept": "workers"})

With `LLM_JOBS_URL` and `LLM_JOBS_API_KEY` set the calls go over HTTP to a running platform, from
any project. Without them they go straight to the database of this installation (`DATABASE_URL`).
`llm_jobs.Client(url, key)` is the HTTP client itself. Importing this package imports nothing heavy.

For plugins of an installation: `@llm_jobs.context_fetcher("name")` declares a context fetcher, and
`llm_jobs.context_fetchers.user_profile(user_id)` is a plain call of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_jobs.handles import Backend, Job, Output, id_of

if TYPE_CHECKING:
    from app.context.fetchers import context_fetcher as context_fetcher
    from app.context.plain_calls import PlainCalls
    from llm_jobs.client import Client as Client
    from llm_jobs.errors import ApiError as ApiError
    from llm_jobs.errors import TimedOut as TimedOut
    from llm_jobs.errors import Unreachable as Unreachable

    context_fetchers: PlainCalls

__all__ = [
    "ApiError",
    "Client",
    "Job",
    "Output",
    "TimedOut",
    "Unreachable",
    "context_fetcher",
    "context_fetchers",
    "enqueue",
    "get_output",
    "re_run",
    "regenerate",
    "set_feedback",
]


def enqueue(
    template: str | None = None,
    model: str | None = None,
    context: Mapping[str, Any] | None = None,
    format: str | None = None,
    *,
    user_id: int | None = None,
    agent_id: int | None = None,
    **more: Any,
) -> Job:
    """Submit a job and return its handle; the row exists when this returns.

    `more` are the other fields of a job: `messages`, `system`, `options`, `queue`, `run_at`,
    `deadline`, `response_schema`, `metadata`, `strict`, `fetchers`, and `idempotency_key`.
    In place of a template `prompt` names a stored definition (`name`, `name@3`, `name@label`), or
    `prompt_xml` is one; it reads `workitem` (a mapping of items) and `files` (paths, or mappings of
    `name` and `text` or `data`), and `debug` keeps what was sent and heard. Over
    HTTP the owner is the key's user unless an administrator names another one; without HTTP a job
    without `user_id` belongs to nobody.

    Raises ApiError (over HTTP) or `app.errors.RequestError`: both have `code`, `status`, `message`.
    """
    fields = {
        "template": template,
        "model": model,
        "context": dict(context) if isinstance(context, Mapping) else context,
        "format": format,
        "user_id": user_id,
        "agent_id": agent_id,
        **more,
    }
    return _backend().submit({k: v for k, v in fields.items() if v is not None})


def re_run(output: Output | Job | Any, *, idempotency_key: str | None = None) -> Job:
    """Run the same job once more; the ended one is not changed.

    `output` is anything with an output's id: an `Output`, a `Job`, a row, or the number.
    """
    return _backend().re_run(id_of(output), idempotency_key)


def regenerate(
    output: Output | Job | Any,
    *,
    new_context: Mapping[str, Any] | None = None,
    new_model: str | None = None,
    new_template: str | None = None,
    new_options: Mapping[str, Any] | None = None,
    new_workitem: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Job:
    """Run the job again with something changed; what is not named stays."""
    changes = {
        "context": new_context,
        "model": new_model,
        "template": new_template,
        "options": new_options,
        "workitem": new_workitem,
    }
    named = {k: v for k, v in changes.items() if v is not None}
    return _backend().regenerate(id_of(output), named, idempotency_key)


def set_feedback(
    output: Output | Job | Any,
    feedback: str,
    *,
    comment: str | None = None,
    user: Any = None,
) -> None:
    """Say what an output is worth: `thumbs_up`, `thumbs_down` or `none`.

    `user` (a user or an id) is who says so; over HTTP that is always the key's user.
    """
    _backend().set_feedback(id_of(output), feedback, comment, user)


def get_output(output: Output | Job | Any) -> Output:
    """The output as it is now."""
    return Output(_backend().row(output_id=id_of(output)))


def _backend() -> Backend:
    from llm_jobs.choice import backend

    return backend()


def __getattr__(name: str) -> Any:
    """What needs more than this package, imported when it is first asked for."""
    if name == "Client":
        from llm_jobs.client import Client

        return Client
    if name == "context_fetcher":
        from app.context.fetchers import context_fetcher

        return context_fetcher
    if name == "context_fetchers":
        from llm_jobs.local import context_fetchers

        return context_fetchers()
    if name in ("ApiError", "TimedOut", "Unreachable"):
        from llm_jobs import errors

        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
