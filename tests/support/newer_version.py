"""The next version of the service, as far as its database goes: this one's code with one revision more."""

import shutil
from pathlib import Path
from typing import Final

from app.storage.migrate import newest_revision

ROOT: Final = Path(__file__).parents[2]
REVISION: Final = "9999"
EXPANDS: Final = f'''
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{REVISION}", "{{before}}"


def upgrade():
    op.add_column("jobs", sa.Column("mood", sa.String))
    op.add_column("uploads", sa.Column("weight", sa.Integer, server_default="1", nullable=False))
    op.create_table("moods", sa.Column("name", sa.String, primary_key=True))
'''


def newer_version(folder: Path) -> Path:
    """Where to start it: a folder with `app`, and with `winnow` and `worker` as they are."""
    shutil.copytree(ROOT / "app", folder / "app")  # with what is compiled of it
    for package in ("winnow", "worker"):
        (folder / package).symlink_to(ROOT / package)
    versions = folder / "app" / "storage" / "migrations" / "versions"
    (versions / f"{REVISION}_moods.py").write_text(EXPANDS.format(before=newest_revision()))
    return folder
