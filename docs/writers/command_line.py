"""The reference of the command line: what `--help` says, on one page."""

from __future__ import annotations

from collections.abc import Iterator

import click

from app.cli import cli
from app.cli.output import Exit
from docs.writers.form import code_first, same, table

_COMMAND_LINE = """# Command line

{written}

`llm-jobs COMMAND --help` says the same. Results go to standard output, everything else to standard
error; tables and progress appear on a terminal only, `--json` is for machines.

`dev`, `migrate`, `keys`, `users`, `workers`, `simulator` and `doctor` work on this machine, with
the [settings](settings.md) of the platform, and need no API key. All others speak HTTP. Each of
these also takes the options

{common}

## Exit statuses

{statuses}"""

_COMMON = {
    "--url URL": "Where the platform is; default `LLM_JOBS_URL`, else `http://127.0.0.1:PORT`",
    "--key KEY": "An API key; default `LLM_JOBS_API_KEY`",
    "--json": "JSON for machines",
}
_STATUSES = {
    Exit.OK: "done; of `wait`, `watch` and `submit --wait`: the job is completed",
    Exit.JOB_FAILED: "the job failed or was cancelled; `doctor` found something missing",
    Exit.USAGE: "a wrong option, setting or key, or a request the platform refuses",
    Exit.TIMEOUT: "the job has not ended within `--timeout`; it goes on",
    Exit.UNREACHABLE: "the platform, or its database, does not answer",
}


def page(written: str) -> str:
    """docs/reference/command-line.md."""
    same(Exit, _STATUSES, "exit statuses")
    statuses = table(["status", "meaning"], [[str(int(s)), text] for s, text in _STATUSES.items()])
    common = table(["option", "meaning"], code_first(_COMMON)).rstrip()
    parts = [_COMMAND_LINE.format(written=written, statuses=statuses, common=common)]
    for path, command in commands():
        parts.append(_command(path, command))
    return "\n".join(parts)


def commands() -> list[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it, in the order of `--help`."""
    return list(_below("llm-jobs", cli))


def _below(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _below(f"{path} {name}", command)
        elif command is not None:
            yield f"{path} {name}", command


def _command(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", (command.help or "").strip(), f"```text\n{usage}\n```"]
    options = [p for p in command.params if isinstance(p, click.Option)]
    if any(option.name == "key" for option in options):
        options = [option for option in options if option.name not in ("url", "key", "as_json")]
    if options:
        rows = [[_spelling(o), _option_default(o), o.help or ""] for o in options]
        parts.append(table(["option", "default", "meaning"], rows).rstrip())
    return "\n\n".join(parts) + "\n"


def _spelling(option: click.Option) -> str:
    names = " / ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return f"`{names}`"
    kind = option.type
    if isinstance(kind, click.Choice):
        value = "|".join(str(choice) for choice in kind.choices)
    else:
        value = option.metavar or kind.name.upper().replace(" RANGE", "")
    several = ", may be repeated" if option.multiple else ""
    needed = ", required" if option.required else ""
    return f"`{names} {value}`{needed}{several}"


def _option_default(option: click.Option) -> str:
    if option.is_flag or option.multiple or option.required:
        return "–"
    default = option.to_info_dict()["default"]
    if default is None or default == "":
        return "–"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
