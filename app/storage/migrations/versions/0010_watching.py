"""What is watched and kept: origins of records, pins, counts of reapers, and indexes that hold all that is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LEASED = ("uploads", "inquiries", "jobs", "studies", "trials")
PINNED = ("uploads", "jobs")
COUNTED = ("released", "republished")
INDEXES = (
    ("uploads", ["state", "kind", "size_bytes"]),
    ("jobs", ["searches", "state", "outcome", "artifact_bytes", "curves_bytes"]),
    ("trials", ["state", "role", "artifact_bytes"]),
)


def upgrade() -> None:
    for table in LEASED:
        op.add_column(table, sa.Column("origin", sa.JSON(none_as_null=True), nullable=True))
    for table in PINNED:
        op.add_column(table, sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
    for count in COUNTED:
        op.add_column("queues", sa.Column(count, sa.BigInteger(), nullable=False, server_default="0"))
    for table, columns in INDEXES:
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns, unique=False)


def downgrade() -> None:
    for table, columns in INDEXES:
        op.drop_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table_name=table)
    for count in COUNTED:
        op.drop_column("queues", count)
    for table in PINNED:
        op.drop_column(table, "pinned")
    for table in LEASED:
        op.drop_column(table, "origin")
