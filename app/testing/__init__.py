"""For the tests of those who use the platform: a private database, a model that says what a test
wants, and jobs carried out when the test says so. Nothing listens, nothing waits, nothing is paid.

    bed.py      the private database and the carrying out of jobs
    model.py    the stand-in for every model
    enqueued.py what was enqueued, compared with what a test expects

The fixtures themselves are `llm_jobs.pytest_plugin`.
"""

from app.testing.bed import TestBed
from app.testing.enqueued import Enqueued, expect_enqueued
from app.testing.model import StubModel

__all__ = ["Enqueued", "StubModel", "TestBed", "expect_enqueued"]
