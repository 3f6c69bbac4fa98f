"""What the built-in fetchers read: rows of the job's own user, and URLs an administrator named."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from app.context.fetchers import OutputFacts, RegisteredUrl, UserFacts
from app.db import Database
from app.settings import Settings
from models import LLMOutput, Status, User


class DatabaseSource:
    """`app.context.fetchers.Source` over our tables. Every method raises Unavailable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._urls = settings.fetch_urls

    def user(self, user_id: int) -> UserFacts | None:
        """The user's facts, or None."""
        with self._database.read() as session:
            user = session.get(User, user_id)
            if user is None:
                return None
            return UserFacts(
                name=user.name or user.email,
                email=user.email,
                created_at=user.created_at,
                plan=user.plan,
            )

    def recent_outputs(self, user_id: int, limit: int) -> Sequence[OutputFacts]:
        """The user's newest completed outputs."""
        query = (
            LLMOutput.recent()
            .where(LLMOutput.user_id == user_id, LLMOutput.status == Status.COMPLETED)
            .limit(limit)
        )
        with self._database.read() as session:
            return [_facts(output) for output in session.scalars(query)]

    def output_text(self, user_id: int, output_id: int) -> str | None:
        """The text of one completed output of this user."""
        query = select(LLMOutput.raw_response).where(
            LLMOutput.id == output_id,
            LLMOutput.user_id == user_id,
            LLMOutput.status == Status.COMPLETED,
        )
        with self._database.read() as session:
            return session.scalar(query)

    def registered_url(self, name: str) -> RegisteredUrl | None:
        """A URL of `LLM_JOBS_FETCH_URLS`."""
        found = self._urls.get(name)
        return RegisteredUrl(str(found.url), internal=found.internal) if found else None


def _facts(output: LLMOutput) -> OutputFacts:
    return OutputFacts(
        output_id=output.id,
        template_name=output.template_name,
        model_name=output.model_name,
        text=output.raw_response or "",
        created_at=output.created_at,
    )
