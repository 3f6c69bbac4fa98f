"""`llm-jobs dev`: the whole service on one machine, for trying and developing.

Runs the Procfile's processes on the embedded default. Nothing here is used in production, where
the same Procfile runs under any process supervisor.
"""
