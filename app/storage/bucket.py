"""A bucket, by its URL: S3 and what speaks its protocol, Google Cloud Storage, Azure. Needs the extra `s3`.

    s3://bucket/prefix    gs://bucket/prefix    az://container/prefix

Endpoint, region and credentials come from the provider's own environment variables (`AWS_ENDPOINT_URL`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_KEY`, …), which the library reads, and
from AWS's file of credentials, which it does not read (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_PROFILE`).
"""

import configparser
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store, from_url

from app.storage.ports import StoreAway

PART_BYTES: Final = 5 * 2**20
"""The least that S3 takes; an object of 10,000 parts has 48.8 GiB."""
PARTS_IN_FLIGHT: Final = 1
"""With two an upload takes 17 MiB of the process's memory, with one 11; and is no slower where the server is near."""
CONNECT_TIMEOUT: Final = timedelta(seconds=5)
SILENCE: Final = timedelta(seconds=60)
"""How long a server may say nothing: over the sending of one part or range of some MiB, and between the signs of life
of one that puts an object of many parts together."""
REQUEST_TIMEOUT: Final = timedelta(minutes=15)
"""Of a request with its answer: putting an object together "could take several minutes" (S3's
CompleteMultipartUpload)."""
RETRY: Final[Any] = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 3,
    },
}
"""A server that is busy is asked again; one that is away is soon reported."""
_SCHEMES: Final = frozenset({"s3", "gs", "az"})
_SECRETS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True)
class Bucket:
    """Objects by their names. `prefix` stands before each, its slash included; "" for none.

    All methods raise `StoreAway`, and `FileNotFoundError` for what is not there.
    """

    store: ObjectStore
    prefix: str = ""

    def put(self, name: str, content: bytes) -> None:
        """Write it in one request; all of it is there then, or nothing."""
        with reaching():
            obstore.put(self.store, self.prefix + name, content, use_multipart=False)

    def begin(self, name: str) -> "Multipart":
        return Multipart(self, name)

    def read(self, name: str, start: int, end: int) -> bytes:
        """Read the bytes from `start` to before `end`, which is larger."""
        with reaching():
            return bytes(obstore.get_range(self.store, self.prefix + name, start=start, end=end))

    def remove(self, name: str) -> None:
        """Harmless for what is not there."""
        with reaching(), suppress(FileNotFoundError):
            obstore.delete(self.store, self.prefix + name)

    def url(self, name: str, seconds: float) -> str | None:
        """An address that anybody can GET it from for so long; None where the store has no such addresses."""
        if not isinstance(self.store, S3Store | GCSStore | AzureStore):
            return None
        with reaching():
            return obstore.sign(self.store, "GET", self.prefix + name, timedelta(seconds=seconds))


class Multipart:
    """An object that comes in piece by piece. Holds at most `PARTS_IN_FLIGHT` parts of `PART_BYTES` in memory."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._file = obstore.open_writer(
            bucket.store, bucket.prefix + name, buffer_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT
        )

    def write(self, content: bytes) -> None:
        """Waits while as many parts are under way as may be."""
        with reaching():
            self._file.write(content)

    def complete(self) -> None:
        """All of it is there when this returns."""
        with reaching():
            self._file.close()

    def abort(self) -> None:
        """Have the server forget the parts. Not after `complete`."""
        with reaching():
            self._file.__exit__(StoreAway, StoreAway(), None)


def open_bucket(url: str) -> Bucket:
    """Open the bucket of this URL. Raises `StoreAway` for what is none, and for credentials that cannot be read."""
    address = urlsplit(url)
    if address.scheme not in _SCHEMES or not address.netloc:
        raise StoreAway(f"{url!r} is no s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    root = f"{address.scheme}://{address.netloc}"
    prefix = "".join(f"{part}/" for part in address.path.split("/") if part)
    secrets = _shared_credentials() if address.scheme == "s3" else {}
    client: Any = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": SILENCE,
        "timeout": REQUEST_TIMEOUT,
        "allow_http": True,  # the endpoint says which it is, and the operator named it
    }
    config: Any = secrets or None
    with reaching():
        return Bucket(from_url(root, config=config, client_options=client, retry_config=RETRY), prefix)


@contextmanager
def reaching() -> Iterator[None]:
    """Whatever the library raises becomes an `OSError`, which it is not always by itself."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise StoreAway(_short(error)) from error


def _short(error: Exception) -> str:
    """The library's first line: all that it was asked for follows."""
    return str(error).strip().partition("\n")[0][:300]


def _shared_credentials() -> dict[str, str]:
    """Of AWS's file, where the environment names it and has no key itself."""
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    if file is None or "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    profiles = configparser.ConfigParser(interpolation=None)
    try:
        profiles.read_string(Path(file).read_text())
        profile = profiles[os.environ.get("AWS_PROFILE", "default")]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
        raise StoreAway(f"AWS_SHARED_CREDENTIALS_FILE={file} cannot be used: {error}") from error
    return {name: profile[name] for name in _SECRETS if name in profile}
