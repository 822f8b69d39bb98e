"""When each queue was last looked after, so that of all reapers one does; and the records of workers."""

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
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=100), nullable=False),
        sa.Column("queues", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("layers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("runtimes", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.bulk_insert(queues, [{"name": name, "looked_at": 0.0} for name in ("inspect", "work")])


def downgrade() -> None:
    op.drop_table("workers")
    op.drop_table("queues")
