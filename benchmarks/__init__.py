"""Measurements, each self-contained: it starts its own Redis, PostgreSQL, simulator and worker.

`make bench` runs all, `make bench ARGS=jobs` one. Figures are medians of runs taken in turn, and
ratios between things measured in the same run: machines differ, ratios less so.
"""
