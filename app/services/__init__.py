"""The services of OpenFn's Apollo, answered by jobs: a Lightning is pointed at us by one URL.

    problems.py   the errors of these services: `{code, type, message, details?}`
    pages.py      where somebody is: `[pg:…]` prefixes read back, and whether they went elsewhere
    edits.py      changes of code that a model proposes, applied one after the other
    job_chat.py   one request of `job_chat`: what the model is told, and what is answered
    turn.py       one answer as a job that somebody waits for: begun, followed, given up

A request is whole in itself: the client keeps the conversation. Nothing here knows HTTP.
"""

from app.services.job_chat import JobChat
from app.services.problems import ServiceError, of_failure
from app.services.turn import Done, Told, Turn, Waits

__all__ = ["Done", "JobChat", "ServiceError", "Told", "Turn", "Waits", "of_failure"]
