"""The stores that the settings name, ready for use. For the entry points of service and worker."""

from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.local_blobs import LocalBlobs
from app.storage.migrate import migrate
from app.storage.ports import Blobs, Records, StoreAway
from app.storage.sql import SqlRecords


class CannotOpen(Exception):
    """A store cannot be used as the settings want. The message is a sentence for the operator."""


def open_records(settings: Settings) -> Records:
    """Makes the folder and brings the database to the newest schema. Not to be shared across a fork."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database)
    migrate(engine)
    return SqlRecords(engine)


def open_blobs(settings: Settings) -> Blobs:
    """Not to be shared across a fork, either; after `open_records`, which makes the tables. Raises `CannotOpen`."""
    if settings.blobs_url is None:
        return LocalBlobs(settings.blobs_dir)
    return _open_bucket(settings, settings.blobs_url)


def _open_bucket(settings: Settings, url: str) -> Blobs:
    """What the extra brings is imported where it is asked for."""
    try:
        from app.storage.bucket import open_bucket
        from app.storage.remote_blobs import RemoteBlobs
        from app.storage.sql_blob_keys import SqlBlobKeys
    except ModuleNotFoundError as error:
        raise CannotOpen("WINNOW_BLOBS_URL needs the extra `s3`: `pip install '.[s3]'`.") from error
    try:
        bucket = open_bucket(url)
    except StoreAway as error:
        raise CannotOpen(f"WINNOW_BLOBS_URL cannot be used: {error}.") from error
    return RemoteBlobs(bucket, SqlBlobKeys(open_engine(settings.database)), redirects=settings.blob_redirect)
