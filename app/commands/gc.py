"""`winnow gc`: what is too old, and the bytes that nothing names."""

import json
import time
from typing import Annotated

import typer

from app.commands.settings import DataDir, settings
from app.storage.retention import Collected, collect, would_collect
from winnow.cli.screen import print_result, say
from winnow.cli.shared import Json
from winnow.client import ClientError
from winnow.contract import units


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Remove now what is older than WINNOW_RETENTION says, and bytes that no record names: else the service does so
    within a minute. Safe beside a running one.

    \b
    winnow gc --dry-run
    """
    from sqlalchemy.exc import SQLAlchemyError

    from app.storage.open import open_blobs, open_records

    chosen, work = settings(data_dir=data_dir), would_collect if dry_run else collect
    try:
        collected = work(
            open_records(chosen),
            open_blobs(chosen),
            chosen.kept_for,
            now=time.time(),
            grace_seconds=chosen.blob_grace_seconds,
        )
    except SQLAlchemyError as error:
        raise ClientError(f"The database cannot be used ({str(error).splitlines()[0]}).") from error
    print_result(_as_json(collected)) if as_json else _tell(collected, dry_run)


def _as_json(collected: Collected) -> str:
    records = [
        {
            "id": old.id,
            "owner": old.owner,
            "state": old.state,
            "since": old.since,
            "size_bytes": old.size_bytes,
        }
        for old in collected.records
    ]
    return json.dumps(
        {"records": records, "blobs": collected.blobs, "size_bytes": sum(collected.blobs.values())}
    )


def _tell(collected: Collected, dry_run: bool) -> None:
    now = time.time()
    for old in collected.records:
        print_result(
            f"{old.id} {old.state} for {(now - old.since) / 86400:.1f} days, {units.size(old.size_bytes)}"
        )
    for sha256, size in collected.blobs.items():
        print_result(f"{sha256} {units.size(size)}")
    would, freed = "would go" if dry_run else "went", units.size(sum(collected.blobs.values()))
    say(f"{len(collected.records)} records and {len(collected.blobs)} blobs {would}: {freed} on the disk")
