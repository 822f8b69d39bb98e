"""Pages of jobs and trials, and questions for the page of a job."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WITH_PAGES = ("jobs", "trials")
ASKED_ABOUT = ("model", "dataset")


def upgrade() -> None:
    for table in WITH_PAGES:
        op.add_column(table, sa.Column("page_sha256", sa.String(length=64), nullable=True))
    with op.batch_alter_table("inquiries") as inquiries:
        for name in ASKED_ABOUT:
            inquiries.alter_column(name, existing_type=sa.String(length=64), nullable=True)
        inquiries.add_column(sa.Column("job", sa.String(length=64), nullable=True))
        inquiries.create_foreign_key(op.f("fk_inquiries_job"), "jobs", ["job"], ["id"], ondelete="CASCADE")
        inquiries.create_index(op.f("ix_inquiries_job"), ["job"], unique=False)


def downgrade() -> None:
    op.execute("DELETE FROM inquiries WHERE job IS NOT NULL")
    with op.batch_alter_table("inquiries") as inquiries:
        inquiries.drop_index(op.f("ix_inquiries_job"))
        inquiries.drop_constraint(op.f("fk_inquiries_job"), type_="foreignkey")
        inquiries.drop_column("job")
        for name in ASKED_ABOUT:
            inquiries.alter_column(name, existing_type=sa.String(length=64), nullable=False)
    for table in WITH_PAGES:
        op.drop_column(table, "page_sha256")
