"""Run by Alembic: with a connection by `app.storage.migrate`, without one by its command line."""

from alembic import context
from sqlalchemy import Connection

from app.settings import Settings
from app.storage.engine import in_mode, open_engine
from app.storage.sqlite_file import make_file
from app.storage.tables import metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transactional_ddl=True,  # SQLite can, though Alembic assumes it cannot
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = open_engine(Settings().database)
    make_file(engine)
    with in_mode(engine, "migrate").connect() as opened:
        run(opened)
