"""`winnow keys`: API keys, made and revoked in the service's database itself. Who may open that needs no key."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.commands.settings import DataDir, settings
from winnow.cli.screen import Column, out, print_result, say, table
from winnow.cli.shared import Json
from winnow.client import ClientError
from winnow.contract.access import OWNER_PATTERN, SCOPES, USUAL_SCOPES, Scope

if TYPE_CHECKING:  # SQLAlchemy is imported where a command needs it: `winnow --help` stays quick
    from app.storage.ports import Records
    from app.storage.records import Key

DAY: Final = 86400.0
MOST_CHARACTERS: Final = 200
COLUMNS: tuple[Column, ...] = (
    *(("id", "left"), ("name", "left"), ("owner", "left"), ("scopes", "left")),
    *(("made", "left"), ("expires", "left"), ("last used", "left"), ("revoked", "left")),
)

keys = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Make, list and revoke the API keys of the service whose data this machine has (WINNOW_AUTH=keys asks for "
    "them).",
)


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "made on the command line",
    owner: Annotated[str, typer.Option(help="Whose models, datasets and jobs it opens.")] = "local",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it allows: {', '.join(SCOPES)}; repeatable. [default: read and write]"),
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="All scopes: it may make and revoke keys.")] = False,
    days: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="It ends after so many days. [default: never]")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it once: on stdout the key alone, the rest on stderr.

    The owner `local` has what was made while nobody was asked (WINNOW_AUTH=none).

    \b
    winnow keys create --admin
    winnow keys create --owner team-vision --name "build server" --days 365
    """
    scopes = _scopes(scope, admin)
    if re.match(OWNER_PATTERN, owner) is None or len(owner) > MOST_CHARACTERS:
        raise typer.BadParameter(
            f"--owner is 1 to {MOST_CHARACTERS} letters, digits and ._@:|/+-, and not {owner!r}"
        )
    if not 0 < len(name) <= MOST_CHARACTERS:
        raise typer.BadParameter(f"--name has 1 to {MOST_CHARACTERS} characters")
    from app.access.keys import new_key

    now = time.time()
    key, text = new_key(owner, name, scopes, now, None if days is None else now + days * DAY)
    with _records(data_dir) as records:
        records.add_key(key)
    if as_json:
        print_result(json.dumps({**_as_in_the_api(key), "key": text}))
        return
    say(f"{key.id} of {owner} allows {', '.join(key.scopes)}. This is the only time that it is shown:")
    print_result(text)


@keys.command("list")
def list_keys(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List all keys, newest first; --json gives one object per line. No key's text is kept anywhere.

    \b
    winnow keys list
    """
    with _records(data_dir) as records:
        found = [*_all(records)]
    if as_json:
        for key in found:
            print_result(json.dumps(_as_in_the_api(key)))
    else:
        out().print(table(None, COLUMNS, map(_row, found)))


@keys.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="Of the key (key_…).")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Revoke a key for good, with the sessions that were made from it. The last admin key stays.

    \b
    winnow keys revoke key_1
    """
    from app.storage.ports import Conflict

    with _records(data_dir) as records:
        try:
            revoked = records.revoke_key(id, time.time())
        except Conflict as error:
            raise ClientError(f"{error}: make another one with --admin first") from error
    if revoked is None:
        raise ClientError(f"there is no key {id}; `winnow keys list` shows all")
    print_result(json.dumps(_as_in_the_api(revoked))) if as_json else say(f"{id} is revoked")


def _scopes(named: list[str] | None, admin: bool) -> tuple[Scope, ...]:
    if admin and named:
        raise typer.BadParameter("--admin is all scopes: leave --scope out")
    if admin:
        return SCOPES
    if wrong := [scope for scope in named or () if scope not in SCOPES]:
        raise typer.BadParameter(f"--scope is one of {', '.join(SCOPES)}, and not {wrong[0]!r}")
    return tuple(scope for scope in SCOPES if scope in named) if named else USUAL_SCOPES


@contextmanager
def _records(data_dir: Path | None) -> "Iterator[Records]":
    """The service's, which may run meanwhile."""
    from sqlalchemy.exc import SQLAlchemyError

    from app.storage.open import open_records

    try:
        yield open_records(settings(data_dir=data_dir))
    except SQLAlchemyError as error:
        why = str(error).splitlines()[0]
        raise ClientError(f"the database cannot be used ({why}); check WINNOW_DATABASE_URL") from error


def _all(records: "Records") -> "Iterator[Key]":
    from app.storage.records import Page

    page = Page(limit=200)
    while found := records.keys(page):
        yield from found
        page = Page(limit=page.limit, after=(found[-1].created_at, found[-1].id))


def _as_in_the_api(key: "Key") -> dict[str, Any]:
    """As `GET /v1/keys` has it."""
    fields = {name: value for name, value in vars(key).items() if name != "sha256"}
    times = {name: _iso(value) for name, value in fields.items() if name.endswith("_at")}
    return {**fields, **times, "scopes": [*key.scopes]}


def _row(key: "Key") -> tuple[str, ...]:
    times = (key.created_at, key.expires_at, key.last_used_at, key.revoked_at)
    return key.id, key.name, key.owner, ", ".join(key.scopes), *((_iso(time) or "-") for time in times)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
