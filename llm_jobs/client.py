"""The typed HTTP client of the platform's API.

with llm_jobs.Client("http://127.0.0.1:8000", key) as client:
    job = client.jobs.create(template="Explain {{concept}}", model="gpt-4", context={...})
    print(job.wait().text)
    for output in client.outputs.list(status="failed"):
        client.outputs.re_run(output)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

from llm_jobs.assets import Assets
from llm_jobs.chats import Chats
from llm_jobs.documents import Documents
from llm_jobs.errors import Unreachable
from llm_jobs.events import Event, read_events
from llm_jobs.files import File, as_sent
from llm_jobs.handles import Job, Output, id_of
from llm_jobs.prompts import Prompts
from llm_jobs.transport import Transport

_API = "/api/v1"
_STREAM_BREAKS = 5


class Client:
    """A platform and a key. Threads may share it; close it, or use it in a `with` block.

    A request is repeated for up to `patience_seconds` while the platform is away or says to slow
    down (`Retry-After` is honoured); submitting carries an idempotency key, so it is safe.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 60.0,
    ) -> None:
        self._transport = Transport(
            url, key, timeout_seconds=timeout_seconds, patience_seconds=patience_seconds
        )
        self.jobs = Jobs(self, self._transport)
        self.outputs = Outputs(self, self._transport)
        self.prompts = Prompts(self._transport)
        self.chats = Chats(self._transport)
        self.assets = Assets(self._transport)
        self.documents = Documents(self._transport)

    def me(self) -> Mapping[str, Any]:
        """The key's user, scopes, and what is left of the allowance."""
        return self._get(f"{_API}/me")

    def models(self) -> list[Mapping[str, Any]]:
        """Models worth asking for: name, provider, whether it is configured, price."""
        return list(self._get(f"{_API}/models")["data"])

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # What `llm_jobs.enqueue` and its like stand on (`handles.Backend`)

    def submit(self, fields: Mapping[str, Any]) -> Job:
        return self.jobs.create(**fields)

    def re_run(self, output_id: int, idempotency_key: str | None = None) -> Job:
        return self._derived(output_id, "re_run", {}, idempotency_key)

    def regenerate(
        self,
        output_id: int,
        changes: Mapping[str, Any],
        idempotency_key: str | None = None,
    ) -> Job:
        return self._derived(output_id, "regenerate", changes, idempotency_key)

    def set_feedback(
        self, output_id: int, feedback: str, comment: str | None = None, user: Any = None
    ) -> None:
        """`user` is not sent: over HTTP it is the key that says who speaks."""
        body = {"feedback_type": feedback, "comment": comment}
        self._transport.send("POST", f"{_API}/llm_outputs/{output_id}/feedback", json=body)

    def row(
        self,
        *,
        output_id: int | None = None,
        job_id: str | None = None,
        wait_seconds: float = 0,
    ) -> Mapping[str, Any]:
        if job_id is None:
            return self._get(f"{_API}/llm_outputs/{output_id}")
        query = {"wait": f"{wait_seconds:g}"} if wait_seconds > 0 else {}
        return self._get(f"{_API}/llm_jobs/{_part(job_id)}", query, wait_seconds=wait_seconds)

    def cancel(self, job_id: str) -> Mapping[str, Any]:
        row: Mapping[str, Any] = self._transport.send(
            "POST", f"{_API}/llm_jobs/{_part(job_id)}/cancel"
        )[0]
        return row

    def why(self, job_id: str) -> Mapping[str, Any]:
        return self._get(f"{_API}/llm_jobs/{_part(job_id)}/why")

    def _get(
        self, path: str, query: Mapping[str, Any] | None = None, *, wait_seconds: float = 0
    ) -> Mapping[str, Any]:
        body, _ = self._transport.send("GET", path, query=query, wait_seconds=wait_seconds)
        return body  # type: ignore[no-any-return]

    def _derived(
        self, output_id: int, verb: str, changes: Mapping[str, Any], key: str | None
    ) -> Job:
        body, headers = self._transport.send(
            "POST",
            f"{_API}/llm_outputs/{output_id}/{verb}",
            json=changes,
            headers={"Idempotency-Key": key or str(uuid.uuid4())},
        )
        return job_of(self, {**body, "status": "queued"}, headers)


class Jobs:
    """`client.jobs`: submitting, and asking how a job stands."""

    def __init__(self, client: Client, transport: Transport) -> None:
        self._client = client
        self._transport = transport

    def create(
        self,
        *,
        template: str | None = None,
        model: str | None = None,
        context: Mapping[str, Any] | None = None,
        format: str | None = None,
        files: Iterable[File] | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> Job:
        """Submit a job; `more` are the other fields of `POST /api/v1/llm_jobs`, such as `prompt`,
        `workitem` and `debug`. A file is a path, or a mapping of `name` and `text` or `data`.

        Without an `idempotency_key` each call is a job of its own, however often the network makes
        it be sent. Times may be given as datetimes. Raises ApiError or Unreachable.
        """
        fields = {
            "template": template,
            "model": model,
            "context": context,
            "format": format,
            "files": None if files is None else as_sent(files),
            **more,
        }
        body, headers = self._transport.send(
            "POST",
            f"{_API}/llm_jobs",
            json={name: _plain(value) for name, value in fields.items() if value is not None},
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
        )
        return job_of(self._client, body, headers)

    def get(self, job_id: str) -> Output:
        """A job's output as it is now."""
        return Output(self._client.row(job_id=job_id))

    def advance(self, job_id: str) -> Output:
        """Run a waiting job now instead of at its time."""
        return Output(self._transport.send("POST", f"{_API}/llm_jobs/{_part(job_id)}/advance")[0])

    def preview(self, *, files: Iterable[File] | None = None, **fields: Any) -> Mapping[str, Any]:
        """What would be sent and what it might cost; nothing is stored."""
        if files is not None:
            fields["files"] = as_sent(files)
        body: Mapping[str, Any] = self._transport.send(
            "POST",
            f"{_API}/llm_jobs/preview",
            json={name: _plain(value) for name, value in fields.items()},
        )[0]
        return body

    def events(self, job_id: str, *, after: str | None = None) -> Iterator[Event]:
        """A job's events as they come, `final` last; a broken stream is taken up where it broke.

        Raises Unreachable when it keeps breaking.
        """
        breaks = 0
        while breaks < _STREAM_BREAKS:
            breaks += 1
            for event in self._until_it_breaks(job_id, after):
                breaks, after = 0, event.id or after
                yield event
                if event.event == "final":
                    return
        raise Unreachable(f"the events of job {job_id} keep breaking off")

    def _until_it_breaks(self, job_id: str, after: str | None) -> Iterator[Event]:
        headers = {"Last-Event-ID": after} if after else {}
        path = f"{_API}/llm_jobs/{_part(job_id)}/events"
        with suppress(Unreachable), self._transport.lines(path, headers=headers) as lines:
            yield from read_events(lines)


class Outputs:
    """`client.outputs`: reading outputs and acting on them."""

    def __init__(self, client: Client, transport: Transport) -> None:
        self._client = client
        self._transport = transport

    def get(self, output: Any) -> Output:
        """An output as it is now."""
        return Output(self._client.row(output_id=id_of(output)))

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Output]:
        """Own outputs, newest first; asks for the next page when it is needed.

        `filters` are those of `GET /api/v1/llm_outputs`; `limit` is the size of a page.
        """
        plain = {name: _plain(value) for name, value in filters.items() if value is not None}
        found = self._transport.pages(f"{_API}/llm_outputs", limit=limit, filters=plain)
        yield from map(Output, found)

    def re_run(self, output: Any, *, idempotency_key: str | None = None) -> Job:
        """Run the same job once more."""
        return self._client.re_run(id_of(output), idempotency_key)

    def regenerate(self, output: Any, *, idempotency_key: str | None = None, **changes: Any) -> Job:
        """Run the job again with another `context`, `model`, `template` or `options`."""
        return self._client.regenerate(id_of(output), changes, idempotency_key)

    def feedback(self, output: Any, feedback: str, *, comment: str | None = None) -> None:
        """Say what an output is worth: `thumbs_up`, `thumbs_down` or `none`."""
        self._client.set_feedback(id_of(output), feedback, comment)

    def review(
        self, output: Any, *, items: Mapping[str, Any] | None = None, confirmed: bool = False
    ) -> Output:
        """Correct or confirm an output's result items; without `items` the present ones."""
        body = {"items": None if items is None else dict(items), "confirmed": confirmed}
        path = f"{_API}/llm_outputs/{id_of(output)}/items"
        return Output(self._transport.send("PUT", path, json=body, repeats=False)[0])

    def suggestions(self, output: Any, typed: str) -> Mapping[str, Any]:
        """Help for a form of the items: `mode`, `items`, and `hits` for what was typed."""
        path = f"{_API}/llm_outputs/{id_of(output)}/suggestions"
        return self._client._get(path, {"q": typed})

    def erase(self, output: Any) -> None:
        """Remove an ended output's texts for good."""
        self._transport.send("DELETE", f"{_API}/llm_outputs/{id_of(output)}")


def job_of(client: Client, body: Mapping[str, Any], headers: Mapping[str, str]) -> Job:
    """The handle of an accepted job."""
    estimate = body.get("estimated_completion")
    return Job(
        output_id=body["output_id"],
        job_id=body["job_id"],
        status=body["status"],
        estimated_completion=None if estimate is None else datetime.fromisoformat(estimate),
        warnings=tuple(body.get("warnings") or ()),
        replayed=headers.get("Idempotent-Replayed") == "true",
        backend=client,
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _part(name: str) -> str:
    """One part of a path, whatever it holds: an odd id must not name another address."""
    return quote(name, safe="")
