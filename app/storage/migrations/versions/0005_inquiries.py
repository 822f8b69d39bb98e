"""Questions about a dataset and a model."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inquiries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("published_at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("question", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("answer_sha256", sa.String(length=64), nullable=True),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset"], ["uploads.id"], name=op.f("fk_inquiries_dataset"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model"], ["uploads.id"], name=op.f("fk_inquiries_model"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inquiries")),
        sa.UniqueConstraint("identity", name=op.f("uq_inquiries_identity")),
    )
    op.create_index(op.f("ix_inquiries_dataset"), "inquiries", ["dataset"], unique=False)
    op.create_index(op.f("ix_inquiries_lease_until"), "inquiries", ["lease_until"], unique=False)
    op.create_index(op.f("ix_inquiries_model"), "inquiries", ["model"], unique=False)
    op.create_index(
        op.f("ix_inquiries_state_published_at"), "inquiries", ["state", "published_at"], unique=False
    )


def downgrade() -> None:
    op.drop_table("inquiries")
