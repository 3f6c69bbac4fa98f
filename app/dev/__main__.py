"""`python -m app.dev [--port N] [--data-dir DIR]`: the same as `llm-jobs dev`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.dev.service import Options, run


def main() -> int:
    """Read the options and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m app.dev", description=__doc__)
    parser.add_argument("--port", type=int, help="the web server's port (0: any free one)")
    parser.add_argument("--data-dir", type=Path, default=Options.data_dir, help="default: var")
    options = parser.parse_args()
    return run(Options(port=options.port, data_dir=options.data_dir))


if __name__ == "__main__":
    sys.exit(main())
