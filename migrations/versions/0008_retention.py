"""What forgetting by age needs: an index of ended jobs that still have their texts

Works beside the release before it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = "ix_llm_outputs_texts"
_WHERE = sa.text("finished_at IS NOT NULL AND erased_at IS NULL")


def upgrade() -> None:
    op.create_index(
        _INDEX, "llm_outputs", ["finished_at"], postgresql_where=_WHERE, sqlite_where=_WHERE
    )


def downgrade() -> None:
    op.drop_index(_INDEX, table_name="llm_outputs")
