"""Names of channels and streams, and how the two threads talk to Redis."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CHANGES = "llm-jobs:changes"
"""Rows that moved: a JSON list of [output id, job id, status], one message per commit."""

LIVE = "llm-jobs:live"
"""One event of one job somebody listens to: JSON {job, id, event, data}."""

CANCEL = "llm-jobs:cancel"
"""Output ids whose call should be closed: a JSON list."""

LISTEN = "llm-jobs:listen"
"""A job id somebody listens to: its worker streams."""

KEEP_SECONDS = 600
"""A job's stream is kept this long after its last event, for readers that come back."""

STREAM_LENGTH = 5000

HEALTH_SECONDS = 10
"""After this long without a word a connection is asked for a sign of life."""

APPEND = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[1], 'd', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5],
  cjson.encode({job = ARGV[6], id = id, event = ARGV[1], data = ARGV[2]}))
return id
"""


def stream_of(job_id: str) -> str:
    """The key of a job's stream of events."""
    return f"llm-jobs:job:{job_id}"


def connect(url: str, *, timeout_seconds: float) -> redis.Redis:
    """A client that fails fast: no retries of its own, short time-outs."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=HEALTH_SECONDS,
        max_connections=50,
    )
