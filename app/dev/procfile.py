"""The list of processes, read from the Procfile that ships with the package.

The file in the project's root is a link to the one beside this module, so a checkout, an installed
package and any other process supervisor run the same commands.
"""

from __future__ import annotations

import re
from importlib.resources import files

from app.errors import ConfigurationError

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


def shipped_procfile() -> dict[str, str]:
    """Each process's name and shell command, in the order of the file."""
    return parse_procfile(files("app.dev").joinpath("Procfile").read_text(encoding="utf-8"))


def parse_procfile(text: str) -> dict[str, str]:
    """`name: command` on each line; blank lines and `#` comments are skipped.

    Raises ConfigurationError naming a line that is neither, or a name given twice.
    """
    commands: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match or match["name"] in commands:
            raise ConfigurationError(
                f"Procfile line {number} is not 'name: command' with a new name: {line!r}"
            )
        commands[match["name"]] = match["command"]
    return commands
