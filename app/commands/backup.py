"""`winnow backup`: all that a service keeps, into a folder, while it runs."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from app.commands.settings import DataDir, settings
from winnow.cli.screen import print_result, say
from winnow.cli.shared import Json
from winnow.contract.units import size

Folder = Annotated[Path, typer.Argument(help="Where the backup lies.")]


def backup(folder: Folder, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Bring a backup to this moment: records and blobs, whole and checked, of SQLite or PostgreSQL, while the service
    runs. What is in the folder already is not copied again.

    \b
    winnow backup /backup/winnow
    """
    from app.commands.stores import as_sentences
    from app.storage.backup import back_up
    from app.storage.engine import open_engine
    from app.storage.migrate import check_schema
    from app.storage.open import open_blobs

    chosen = settings(data_dir=data_dir)
    with as_sentences():
        engine = open_engine(chosen.database)
        check_schema(engine)  # before anything is made in a folder that is no service's
        made = back_up(engine, open_blobs(chosen), folder, version("winnow-service"))
    if as_json:
        print_result(made.model_dump_json(indent=2))
    else:
        say(
            f"{sum(made.rows.values())} rows and {made.blobs} blobs ({size(made.size_bytes)}) are in {folder}"
        )
