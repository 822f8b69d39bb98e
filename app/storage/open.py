"""The stores that the settings name, ready for use. For the entry points of service and worker."""

from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.local_blobs import LocalBlobs
from app.storage.migrate import migrate
from app.storage.ports import Blobs, Records
from app.storage.sql import SqlRecords


def open_records(settings: Settings) -> Records:
    """Makes the folder and brings the database to the newest schema. Not to be shared across a fork."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database)
    migrate(engine)
    return SqlRecords(engine)


def open_blobs(settings: Settings) -> Blobs:
    return LocalBlobs(settings.blobs_dir)
