"""The command line `llm-jobs`.

    local.py    what touches this machine's database and processes: dev, migrate, doctor, keys, …
    users.py    users and their passwords; forgetting.py what goes by age, or with a person
    machine.py  what local commands stand on
    remote.py   what any client may do, over HTTP with an API key: submit, wait, show, …
    prompts.py  … to the library of prompts: import, show, diff, label, publish, roll back
    documents.py  … to texts that answers in chats rest on: add, list, search, remove
    acting.py   … and to an output that is there: rerun, regenerate, feedback, why, advance, cancel
    doctor.py   the checks of `llm-jobs doctor`
    output.py   how results, tables and errors are shown, and the exit statuses

Exit statuses: 0 ok, 1 the job failed, 2 usage, 3 time-out, 4 unreachable; as in any shell, 130
after Ctrl-C and 141 when the reader of a pipe has gone.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from app.cli.output import Exit, fail
from app.errors import ConfigurationError, LLMJobsError, Unavailable

_INTERRUPTED = 130
_READER_GONE = 141
_COMMANDS = {
    "advance": "acting:advance",
    "cancel": "acting:cancel",
    "dev": "local:dev",
    "documents": "documents:documents",
    "doctor": "local:doctor",
    "feedback": "acting:feedback",
    "keys": "local:keys",
    "list": "remote:list_outputs",
    "migrate": "local:migrate",
    "prompts": "prompts:prompts",
    "prune": "forgetting:prune",
    "regenerate": "acting:regenerate",
    "rerun": "acting:rerun",
    "show": "remote:show",
    "simulator": "local:simulator",
    "submit": "remote:submit",
    "users": "users:users",
    "wait": "remote:wait",
    "watch": "remote:watch",
    "why": "acting:why",
    "workers": "local:workers",
}


class _Commands(click.Group):
    """Imports a command when it is asked for: a client's need neither database nor settings, and
    answer in a third of the time without them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"app.cli.{module}"), name)
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="llm-jobs")
def cli() -> None:
    """Asynchronous LLM jobs on Celery: run the platform, and use it."""


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
    except Exception as error:
        if not _is_of_the_database(error):
            raise
        cause = str(error).splitlines()[0]
        fail(f"the database failed: {cause} (`llm-jobs doctor` says what to do)", Exit.UNREACHABLE)


def _is_of_the_database(error: Exception) -> bool:
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, SQLAlchemyError)
