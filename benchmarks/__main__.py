"""`python -m benchmarks [NAME …]`: run the named benchmarks, or all."""

from __future__ import annotations

import sys

from benchmarks import assets, jobs, pages, retrieval

BENCHMARKS = {
    "assets": assets.main,
    "jobs": jobs.main,
    "pages": pages.main,
    "retrieval": retrieval.main,
}


def main(names: list[str]) -> int:
    """Run benchmarks by name; returns 2 for an unknown one."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"\n## {name}\n")
        BENCHMARKS[name]()
    return 0


sys.exit(main(sys.argv[1:]))
