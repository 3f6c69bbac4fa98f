"""What chunks of documents mean to an embedder

Works beside the release before it: a new table only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "doc_vectors",
        sa.Column("chunk_id", types.BigId, nullable=False),
        sa.Column("embedder", sa.String(length=100), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chunk_id"],
            ["doc_chunks.id"],
            name=op.f("fk_doc_vectors_chunk_id_doc_chunks"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("chunk_id", name=op.f("pk_doc_vectors")),
    )


def downgrade() -> None:
    op.drop_table("doc_vectors")
