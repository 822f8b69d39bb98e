"""The hashes of a blob's blocks: by them a part of it can be trusted."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("blobs", sa.Column("block_hashes", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("blobs", "block_hashes")
