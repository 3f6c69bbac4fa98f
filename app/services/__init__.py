"""The services of OpenFn's Apollo, answered by jobs: a Lightning is pointed at us by one URL.

    problems.py   the errors of these services: `{code, type, message, details?}`
    pages.py      where somebody is: `[pg:…]` prefixes read back, and whether they went elsewhere
    asked.py      what a request of any service is: of job_chat.py, workflow_chat.py, global_chat.py
    edits.py      changes of code that a model proposes, applied one after the other
    attachments.py, skills.py  what a request brings along, and the way of working it names
    workflow_yaml.py  a workflow with placeholders for the model, and back
    turn.py       one answer as a job that somebody waits for: begun, followed, given up
    answering.py  a request answered, by one job or two

A request is whole in itself: the client keeps the conversation. Nothing here knows HTTP.
"""

from app.services.answering import Answer, answering
from app.services.asked import Asked
from app.services.global_chat import GlobalChat
from app.services.job_chat import JobChat
from app.services.problems import ServiceError, of_failure
from app.services.turn import Done, Told, Turn, Waits
from app.services.workflow_chat import WorkflowChat

__all__ = [
    "Answer",
    "Asked",
    "Done",
    "GlobalChat",
    "JobChat",
    "ServiceError",
    "Told",
    "Turn",
    "Waits",
    "WorkflowChat",
    "answering",
    "of_failure",
]
