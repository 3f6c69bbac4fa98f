"""What operators see of the running service, counted from rows: nothing here changes anything.

    picture.py    queues, workers, dispatcher, and where rows and broker disagree
    backlog.py    how much waits in a queue, without reading all of it
    workers.py    the workers and what they hold
    health.py     what is wrong with the service as a whole, for every page's banner
    failures.py   why jobs failed lately, by class
    recovered.py  what dispatchers did to rows that would not have gone on
    providers.py  how providers answered lately, and a job that tries one

Every number is bounded: where there is more than is counted, a flag says so.
"""

from app.operations.failures import FailureClass, failures
from app.operations.health import Notice, NoticeCode, health
from app.operations.picture import Dispatching, Operations, Pause, QueuePicture, picture
from app.operations.providers import LastError, ModelHealth, providers_health, try_provider
from app.operations.recovered import RecoveredTotal, recovered
from app.operations.workers import WorkerPicture

__all__ = [
    "Dispatching",
    "FailureClass",
    "LastError",
    "ModelHealth",
    "Notice",
    "NoticeCode",
    "Operations",
    "Pause",
    "QueuePicture",
    "RecoveredTotal",
    "WorkerPicture",
    "failures",
    "health",
    "picture",
    "providers_health",
    "recovered",
    "try_provider",
]
