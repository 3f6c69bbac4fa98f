"""What may be asked of jobs, in functions the API, the command line and Python share. No HTTP.

    request.py      the values that travel: JobRequest, Submission
    submit.py       a request becomes a committed row, then its worker is woken (waking.py)
    meaning.py      defaults, checks and routing of a request; shapes.py and limits.py help it
    scripts.py      jobs of a prompt definition: found, and rehearsed before they are accepted
    files.py        the files of rows; items.py result items as people correct and confirm them
    idempotency.py  the first answer to a key, stored with the row
    derive.py       re_run and regenerate, lineage.py the tree of them; compare.py: one request
                    asked of several models
    control.py      cancel and advance
    bulk.py         re-run, retry and cancel many
    access.py       which rows a caller sees; search.py lists them (search_words.py: the language of
                    the search box, by_time.py: the ids of a time), lines.py shows lists of them,
                    describe.py whole ones, export.py files; sentences.py says what went wrong
    explain.py      why a job waits; load.py how busy the house is
    preview.py      what would be sent; erase.py removes the texts of an ended row

The caller of a function that takes a session opens the transaction; one that takes a runtime opens
its own, because something follows the commit.
"""

from app.jobs.access import get
from app.jobs.bulk import Cancellations, ReRuns, Skipped, cancel_many, re_run_many, retry_failed
from app.jobs.control import advance, cancel
from app.jobs.derive import changed_request, re_run, regenerate
from app.jobs.describe import describe, describe_many
from app.jobs.erase import erase
from app.jobs.explain import why
from app.jobs.idempotency import prune_idempotency_keys
from app.jobs.items import current_items, review_items, reviews_of, suggest
from app.jobs.preview import preview
from app.jobs.request import IdempotencyRequest, JobRequest, Submission, check_essentials
from app.jobs.search import Counted, Filters, count_matching, list_outputs
from app.jobs.submit import submit, submit_many

__all__ = [
    "Cancellations",
    "Counted",
    "Filters",
    "IdempotencyRequest",
    "JobRequest",
    "ReRuns",
    "Skipped",
    "Submission",
    "advance",
    "cancel",
    "cancel_many",
    "changed_request",
    "check_essentials",
    "count_matching",
    "current_items",
    "describe",
    "describe_many",
    "erase",
    "get",
    "list_outputs",
    "preview",
    "prune_idempotency_keys",
    "re_run",
    "re_run_many",
    "regenerate",
    "retry_failed",
    "review_items",
    "reviews_of",
    "submit",
    "submit_many",
    "suggest",
    "why",
]
