"""As many rows as a test or a benchmark wants, made by the database itself in one statement."""

from __future__ import annotations

from sqlalchemy import text

from app.db import Database

_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT :a UNION ALL SELECT i + 1 FROM n WHERE i < :b)"
    " SELECT i FROM n",
    "postgresql": "SELECT generate_series(CAST(:a AS int), CAST(:b AS int)) AS i",
}
_NOW = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')", "postgresql": "now()"}
_FILL = """
INSERT INTO llm_outputs (
  job_id, user_id, template_name, model_name, format, strict, bucket, status, raw_response,
  feedback, queue, run_at, deadline, fence, tries, max_tries, losses, created_at, updated_at,
  finished_at, error_code
)
SELECT CAST(i AS text), :user_id, 'Explain', 'model-' || (i % 7), 'text', {false}, 'b',
  CASE WHEN i % 100 = 7 THEN 'failed' WHEN i % 100 = 8 THEN 'cancelled'
       WHEN i % 100 = 9 THEN 'pending' ELSE 'completed' END,
  'An answer', CASE WHEN i % 100 = 10 THEN 1 ELSE 0 END, 'default', {now}, {now}, 1, 1, 6, 0,
  {now}, {now}, CASE WHEN i % 100 = 9 THEN NULL ELSE {now} END,
  CASE WHEN i % 100 = 7 THEN 'timeout' END
FROM ({numbers}) AS g
"""


def fill(database: Database, user_id: int, first: int, last: int) -> None:
    """Rows `first` to `last` of one user: one in a hundred each failed, cancelled, pending, liked,
    the others completed.
    """
    dialect = database.dialect
    false = "0" if dialect == "sqlite" else "false"
    statement = _FILL.format(false=false, now=_NOW[dialect], numbers=_NUMBERS[dialect])
    with database.write() as session:
        session.execute(text(statement), {"a": first, "b": last, "user_id": user_id})
