"""`python -m app.simulator [--host H] [--port P]`: the simulator alone."""

from __future__ import annotations

import argparse

from app.simulator.server import run


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m app.simulator", description=run.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8400)
    told = parser.parse_args()
    run(told.host, told.port)


if __name__ == "__main__":
    main()
