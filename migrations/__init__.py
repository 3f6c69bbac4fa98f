"""Alembic's scripts. They are driven from code: see `app.migrate`."""
