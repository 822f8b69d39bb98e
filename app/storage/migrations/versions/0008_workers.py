"""What jobs need and workers have, whose turn it is, who holds what. What old code leaves out has a default."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LEASED = ("uploads", "inquiries", "jobs", "studies", "trials")
ORDER = ["state", "needs", "owner", "priority", "created_at", "id"]
IN_TURN = {"jobs": [*ORDER, "searches"], "studies": ORDER, "trials": ORDER}


def upgrade() -> None:
    for table in LEASED:
        op.add_column(table, sa.Column("holder", sa.String(length=64), nullable=True))
    for table, order in IN_TURN.items():
        op.add_column(table, sa.Column("needs", sa.String(length=200), nullable=False, server_default="cpu"))
        op.add_column(table, sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
        op.create_index(op.f(f"ix_{table}_{'_'.join(order)}"), table, order, unique=False)
    op.add_column("jobs", sa.Column("queued_at", sa.Double(), nullable=True))
    op.create_table(
        "turns",
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "family", name=op.f("pk_turns")),
    )
    for column in (
        sa.Column("device", sa.String(length=200), nullable=False, server_default=""),
        sa.Column("cores", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("threads", sa.Integer(), nullable=True),
        sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("workers", column)


def downgrade() -> None:
    for name in ("draining", "threads", "memory_bytes", "cores", "device"):
        op.drop_column("workers", name)
    op.drop_table("turns")
    op.drop_column("jobs", "queued_at")
    for table, order in IN_TURN.items():
        op.drop_index(op.f(f"ix_{table}_{'_'.join(order)}"), table_name=table)
        op.drop_column(table, "priority")
        op.drop_column(table, "needs")
    for table in LEASED:
        op.drop_column(table, "holder")
