"""What is stored: the tables, their words, and the statements' building blocks.

Nothing here knows Celery, Flask, a provider or a setting.
"""

from models.account import Agent, ApiKey, AuditEvent, Role, SavedView, Scope, User, WebSession
from models.attempt import Attempt, Kind, Outcome
from models.base import Base
from models.operations import ControlKind, Price, QueueControl, WorkerHeartbeat
from models.output import (
    ENDED,
    TRANSITIONS,
    Derivation,
    Feedback,
    Format,
    IdempotencyKey,
    LLMOutput,
    Queue,
    Status,
)

__all__ = [
    "ENDED",
    "TRANSITIONS",
    "Agent",
    "ApiKey",
    "Attempt",
    "AuditEvent",
    "Base",
    "ControlKind",
    "Derivation",
    "Feedback",
    "Format",
    "IdempotencyKey",
    "Kind",
    "LLMOutput",
    "Outcome",
    "Price",
    "Queue",
    "QueueControl",
    "Role",
    "SavedView",
    "Scope",
    "Status",
    "User",
    "WebSession",
    "WorkerHeartbeat",
]
