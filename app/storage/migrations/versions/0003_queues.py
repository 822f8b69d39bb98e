"""When each queue was last looked after, so that of all reapers one does."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    queues = op.create_table(
        "queues",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("looked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queues")),
    )
    op.bulk_insert(queues, [{"name": name, "looked_at": 0.0} for name in ("inspect", "work")])


def downgrade() -> None:
    op.drop_table("queues")
