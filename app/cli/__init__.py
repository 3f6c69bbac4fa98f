"""The command line `llm-jobs`.

    local.py    what touches this machine's database and processes: dev, migrate, keys, workers, …
    users.py    users and their passwords; machine.py is what local commands stand on
    remote.py   what any client may do, over HTTP with an API key: submit, wait, show, …
    prompts.py  … to the library of prompts: import, show, diff, label, publish, roll back
    acting.py   … and to an output that is there: rerun, regenerate, feedback, why, advance, cancel
    doctor.py   the checks of `llm-jobs doctor`
    output.py   how results, tables and errors are shown, and the exit statuses

Exit statuses: 0 ok, 1 the job failed, 2 usage, 3 time-out, 4 unreachable; as in any shell, 130
after Ctrl-C and 141 when the reader of a pipe has gone.
"""

from __future__ import annotations

import os
import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from app.cli.acting import advance, cancel, feedback, regenerate, rerun, why
from app.cli.local import dev, keys, migrate, simulator, workers
from app.cli.output import Exit, fail
from app.cli.prompts import prompts
from app.cli.remote import list_outputs, show, submit, wait, watch
from app.cli.users import users
from app.errors import ConfigurationError, LLMJobsError, Unavailable

_INTERRUPTED = 130
_READER_GONE = 141


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="llm-jobs")
def cli() -> None:
    """Asynchronous LLM jobs on Celery: run the platform, and use it."""


for command in (
    dev,
    migrate,
    keys,
    users,
    workers,
    simulator,
    submit,
    wait,
    show,
    watch,
    list_outputs,
    prompts,
    rerun,
    regenerate,
    feedback,
    why,
    advance,
    cancel,
):
    cli.add_command(command)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--settings", is_flag=True, help="Show the settings in force instead of checking.")
def doctor(as_json: bool, settings: bool) -> None:
    """Check database, migrations, broker, workers and providers; say what to do.

    With --settings: every setting of this machine and its value; secrets are only told as set.
    """
    from app.cli.doctor import examine, show_settings

    sys.exit(show_settings(as_json=as_json) if settings else examine(as_json=as_json))


def main() -> None:
    """The entry point: errors become one line and an exit status, never a traceback."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_GONE)
    except ConfigurationError as error:
        fail(str(error), Exit.USAGE)
    except Unavailable as error:
        fail(f"{error.message} (`llm-jobs doctor` says what to do)", Exit.UNREACHABLE)
    except LLMJobsError as error:
        fail(error.message, Exit.USAGE)
    except SQLAlchemyError as error:
        cause = str(error).splitlines()[0]
        fail(f"the database failed: {cause} (`llm-jobs doctor` says what to do)", Exit.UNREACHABLE)
