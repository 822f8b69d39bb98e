"""What has to be right before the service listens: who may reach it, and that somebody can administer it."""

import logging
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.access.keys import key_for
from app.settings import Settings
from app.storage.key_rules import usable
from app.storage.ports import Keys
from app.storage.records import LOCAL_OWNER, Page
from winnow.contract.access import SCOPES

log = logging.getLogger(__name__)

LEAST_CHARACTERS: Final = 32
LEAST_DIFFERENT: Final = 10
"""Characters of a key in a file. That it was made by chance cannot be seen, that it was not sometimes can."""
FILE_KEY: Final = "WINNOW_ADMIN_KEY_FILE"
HOW: Final = "`openssl rand -hex 32 > FILE` makes one"


class CannotStart(Exception):
    """The service cannot start here. The message is a sentence for the operator."""


def check_settings(settings: Settings) -> None:
    """Raises `CannotStart`."""
    if settings.listens_to_strangers:
        raise CannotStart(
            "Without keys (WINNOW_AUTH=none) the service listens on loopback only, and "
            f"{settings.host} is not loopback: anybody who reaches it could read and delete everything. Set "
            "WINNOW_AUTH=keys, or leave the host out."
        )
    if settings.auth == "oidc" and find_spec("jwt") is None:
        raise CannotStart("WINNOW_AUTH=oidc needs PyJWT. Install it with `pip install ./winnow '.[oidc]'`.")


def prepare_keys(settings: Settings, records: Keys) -> None:
    """Takes in the admin key of the file; warns of one without effect, and of none. Raises `CannotStart`."""
    if settings.auth != "keys":
        if settings.admin_key_file is not None:
            log.warning("%s has no effect with WINNOW_AUTH=%s", FILE_KEY, settings.auth)
    elif settings.admin_key_file is not None:
        _take_in(settings.admin_key_file, records)
    elif not records.keys(Page(limit=1)):
        log.warning("nobody has a key yet: `winnow keys create --admin` makes one")


def _take_in(file: Path, records: Keys) -> None:
    now = time.time()
    key = records.add_key(key_for(_text_of(file), LOCAL_OWNER, FILE_KEY, SCOPES, now))
    if not usable(key, now):
        log.warning("the key in %s was revoked or has expired, and stays so: put another there", file)


def _text_of(file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CannotStart(f"{FILE_KEY}: {file} cannot be read ({error.strerror}); {HOW}.") from error
    except UnicodeDecodeError:
        raise CannotStart(f"{FILE_KEY}: {file} has to hold one line of ASCII; {HOW}.") from None
    if len(text) < LEAST_CHARACTERS or len(set(text)) < LEAST_DIFFERENT or len(text.split()) != 1:
        raise CannotStart(
            f"{FILE_KEY}: {file} has to hold one word of at least {LEAST_CHARACTERS} characters that nobody can guess; "
            f"{HOW}."
        )
    return text
