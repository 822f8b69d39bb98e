"""Where blobs lie on a server, and the checkpoints of jobs and trials."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("written_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_blobs")),
        sa.UniqueConstraint("sha256", name=op.f("uq_blobs_sha256")),
    )
    op.create_index(op.f("ix_blobs_written_at"), "blobs", ["written_at"], unique=False)
    op.create_table(
        "checkpoints",
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=20), nullable=False),
        sa.Column("job", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kept_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_checkpoints_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("item", "slot", name=op.f("pk_checkpoints")),
    )
    op.create_index(op.f("ix_checkpoints_job"), "checkpoints", ["job"], unique=False)


def downgrade() -> None:
    op.drop_table("checkpoints")
    op.drop_table("blobs")
