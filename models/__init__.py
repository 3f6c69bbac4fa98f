"""What is stored: the tables, their words, and the statements' building blocks.

Nothing here knows Celery, Flask, a provider or a setting.
"""

from models.account import Agent, ApiKey, AuditEvent, Role, SavedView, Scope, User, WebSession
from models.asset import AssetGrant, AssetVersion, MessageAsset, StoredAsset
from models.attempt import Attempt, Kind, Outcome
from models.base import Base
from models.chat import Chat, ChatGrant, ChatMessage
from models.document import ChatRetrieval, DocChunk, Document, DocVector
from models.grant import GrantRole
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
from models.prompt import ItemReview, Prompt, PromptLabel, PromptVersion, RegisteredEndpoint
from models.statistics import (
    FeedbackTotal,
    Happened,
    Recovered,
    Recovery,
    StatisticsMark,
    Stream,
    call_statistics,
    job_statistics,
)

__all__ = [
    "ENDED",
    "TRANSITIONS",
    "Agent",
    "ApiKey",
    "AssetGrant",
    "AssetVersion",
    "Attempt",
    "AuditEvent",
    "Base",
    "Chat",
    "ChatGrant",
    "ChatMessage",
    "ChatRetrieval",
    "ControlKind",
    "Derivation",
    "DocChunk",
    "DocVector",
    "Document",
    "Feedback",
    "FeedbackTotal",
    "Format",
    "GrantRole",
    "Happened",
    "IdempotencyKey",
    "ItemReview",
    "Kind",
    "LLMOutput",
    "MessageAsset",
    "Outcome",
    "Price",
    "Prompt",
    "PromptLabel",
    "PromptVersion",
    "Queue",
    "QueueControl",
    "Recovered",
    "Recovery",
    "RegisteredEndpoint",
    "Role",
    "SavedView",
    "Scope",
    "StatisticsMark",
    "Status",
    "StoredAsset",
    "Stream",
    "User",
    "WebSession",
    "WorkerHeartbeat",
    "call_statistics",
    "job_statistics",
]
