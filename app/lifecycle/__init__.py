"""The only place that moves a row from one status to another: one verb, one conditional UPDATE.

Every verb takes a session whose transaction the caller opened, and a list; a list of one is the
ordinary case. It returns what came of each item it moved, by the item's key: an item that is
missing from the answer lost its race (another worker's fence, a cancel, a lease taken over) and
changed nothing but the ledger. No verb commits, publishes or logs. Whoever calls several verbs in
one transaction first calls `lock` with all the rows they name.

    create   → pending       accept.py    advance  pending → pending       control.py
    claim    → processing    claims.py    cancel   pending → cancelled     control.py
    renew, again, release    claims.py    pause, resume                    control.py
    complete, retry_later,                rescue, expire, due rows         sweep.py
    snooze, fail, stop       endings.py   fair order between callers       fair.py

Each verb's WHERE is made of guards.py, what it writes of effects.py; order.py keeps two
transactions from waiting for each other, ledger.py counts what calls used, texts.py makes texts
storable.
"""

from app.lifecycle.accept import Created, NewJob, create
from app.lifecycle.claims import (
    Again,
    Claim,
    Delivery,
    Held,
    Release,
    Renewal,
    again,
    claim,
    release,
    renew,
)
from app.lifecycle.control import (
    Cancelled,
    advance,
    cancel,
    lift_elapsed_pauses,
    pause,
    pauses,
    resume,
)
from app.lifecycle.endings import (
    Completed,
    Failed,
    RetryLater,
    Snoozed,
    Stopped,
    complete,
    fail,
    retry_later,
    snooze,
    stop,
)
from app.lifecycle.ledger import Ended, Report
from app.lifecycle.order import lock
from app.lifecycle.sweep import (
    Due,
    anything_due,
    due_rows,
    expire,
    has_older_waiting,
    keep_seen,
    mark_unsent,
    mark_woken,
    rescue,
)

__all__ = [
    "Again",
    "Cancelled",
    "Claim",
    "Completed",
    "Created",
    "Delivery",
    "Due",
    "Ended",
    "Failed",
    "Held",
    "NewJob",
    "Release",
    "Renewal",
    "Report",
    "RetryLater",
    "Snoozed",
    "Stopped",
    "advance",
    "again",
    "anything_due",
    "cancel",
    "claim",
    "complete",
    "create",
    "due_rows",
    "expire",
    "fail",
    "has_older_waiting",
    "keep_seen",
    "lift_elapsed_pauses",
    "lock",
    "mark_unsent",
    "mark_woken",
    "pause",
    "pauses",
    "release",
    "renew",
    "rescue",
    "resume",
    "retry_later",
    "snooze",
    "stop",
]
