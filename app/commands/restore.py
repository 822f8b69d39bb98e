"""`winnow restore`: what `winnow backup` has written, into a service that holds nothing yet."""

from app.commands.backup import Folder
from app.commands.settings import DataDir, settings
from winnow.cli.screen import print_result, say
from winnow.cli.shared import Json
from winnow.contract.units import size


def restore(folder: Folder, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Put a backup into the empty database and the empty store that the settings name, and start the service then. The
    database may be SQLite or PostgreSQL, whichever the backup is of.

    \b
    winnow restore /backup/winnow --data-dir /srv/winnow
    """
    from app.commands.stores import as_sentences
    from app.embedded import only_one
    from app.storage import backup
    from app.storage.engine import open_engine
    from app.storage.open import open_blobs

    chosen = settings(data_dir=data_dir)
    with as_sentences():
        backup.read_backup(folder)  # before anything is made
        with only_one(chosen):
            made = backup.restore(open_engine(chosen.database), open_blobs(chosen), folder)
    if as_json:
        print_result(made.model_dump_json(indent=2))
    else:
        say(f"{sum(made.rows.values())} rows and {made.blobs} blobs ({size(made.size_bytes)}) are back")
