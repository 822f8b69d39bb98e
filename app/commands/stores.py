"""What may be wrong with records and blobs, as sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from app.embedded import CannotStart
from app.setting_sources import place
from app.storage.backup import Incomplete
from app.storage.migrate import SchemaTooNew
from app.storage.row_files import CannotCopy
from winnow.client import ClientError
from winnow.contract.errors import Refusal


@contextmanager
def as_sentences() -> Iterator[None]:
    """Raises `ClientError` for what an operator can do something about."""
    try:
        yield
    except (CannotCopy, CannotStart, Incomplete, SchemaTooNew) as error:
        raise ClientError(str(error)) from error
    except Refusal as error:
        raise ClientError(error.problem.detail) from error
    except SQLAlchemyError as error:
        why = str(error).splitlines()[0]
        raise ClientError(
            f"The database cannot be used ({why}). Check {place('database_url')}, or name the service's folder with "
            "--data-dir."
        ) from error
