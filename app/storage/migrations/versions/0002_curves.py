"""The curves of a job's training steps."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("curves_sha256", sa.String(length=64), nullable=True))
    op.add_column("jobs", sa.Column("curves_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "curves_bytes")
    op.drop_column("jobs", "curves_sha256")
