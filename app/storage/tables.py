"""The tables. A column is named as the field of `records.py` that it keeps; the others say what they are for.

`job_uses` and `job_tags` index what the job's own JSON says, so that a search needs no JSON operators.
A change here needs a revision in `migrations/versions`; a test compares the two.
"""

from typing import Final

from sqlalchemy import JSON as AnyJSON
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

JSON: Final = AnyJSON(none_as_null=True)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _leased() -> list[SchemaItem]:
    """`published_at`: when a hint for the queue was last sent (or is taken to have been)."""
    return [
        Column("id", String(64), primary_key=True),
        Column("owner", String(200), nullable=False),
        Column("state", String(20), nullable=False),
        Column("created_at", Double, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("max_attempts", Integer, nullable=False),
        Column("lease_until", Double, index=True),
        Column("cancel_requested", Boolean, nullable=False),
        Column("problem", JSON),
        Column("published_at", Double, nullable=False),
    ]


def _of_job(*, primary_key: bool = False, index: bool = False) -> Column[str]:
    job = ForeignKey("jobs.id", ondelete="CASCADE")
    return Column("job", String(64), job, primary_key=primary_key, index=index, nullable=False)


def _of_upload(name: str) -> Column[str]:
    return Column(name, String(64), ForeignKey("uploads.id", ondelete="CASCADE"), index=True, nullable=False)


uploads: Final = Table(
    "uploads",
    metadata,
    *_leased(),
    Column("kind", String(20), nullable=False),
    Column("name", String, nullable=False),
    Column("format", String(40), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("declaration", JSON, nullable=False),
    Column("facts", JSON),
    Column("converted", String(64)),
    Column("identity", String(64), nullable=False),  # rules.identity(): what makes two uploads the same
    UniqueConstraint("identity"),
    Index(None, "owner", "kind", "created_at", "id"),
    Index(None, "state", "published_at"),
)

inquiries: Final = Table(
    "inquiries",
    metadata,
    *_leased(),
    Column("kind", String(20), nullable=False),
    _of_upload("model"),
    _of_upload("dataset"),
    Column("question", JSON, nullable=False),
    Column("answer_sha256", String(64)),
    Column("identity", String(64), nullable=False),  # rules.inquiry_identity()
    UniqueConstraint("identity"),
    Index(None, "state", "published_at"),
)

jobs: Final = Table(
    "jobs",
    metadata,
    *_leased(),
    Column("model", String(64), nullable=False),
    Column("uses", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("request", JSON, nullable=False),
    Column("searches", Boolean, nullable=False),
    Column("spaces", JSON, nullable=False),
    Column("outcome", String(40)),
    Column("step", JSON),
    Column("progress", Double, nullable=False),
    Column("seconds_left", Integer),
    Column("requirements", JSON),
    Column("artifact_sha256", String(64)),
    Column("artifact_bytes", BigInteger),
    Column("graph_sha256", String(64)),
    Column("report_sha256", String(64)),
    Column("curves_sha256", String(64)),
    Column("curves_bytes", BigInteger),
    Column("started_at", Double),
    Column("finished_at", Double),
    Index(None, "owner", "created_at", "id"),
    Index(None, "state", "created_at", "id"),
    Index(None, "state", "published_at"),
    Index(None, "model", "created_at"),
)

studies: Final = Table(
    "studies",
    metadata,
    *_leased(),
    _of_job(),
    Column("news", Integer, nullable=False),
    UniqueConstraint("job"),
    Index(None, "state", "published_at"),
)

trials: Final = Table(
    "trials",
    metadata,
    *_leased(),
    _of_job(),
    Column("number", Integer, nullable=False),
    Column("role", String(20), nullable=False),
    Column("params", JSON, nullable=False),
    Column("space", Integer, nullable=False),
    Column("recipe", JSON),
    Column("rung", Integer, nullable=False),
    Column("share", Double, nullable=False),
    Column("intermediate", JSON, nullable=False),
    Column("result", JSON),
    Column("deadline", Double),
    Column("started_at", Double),
    Column("seconds", Double, nullable=False),
    Column("worker", String(200)),
    Column("artifact_sha256", String(64)),
    Column("artifact_bytes", BigInteger),
    Column("report_sha256", String(64)),
    Column("graph_sha256", String(64)),
    Column("candidates", JSON, nullable=False),
    UniqueConstraint("job", "number"),
    Index(None, "state", "published_at"),
)

queues: Final = Table(
    "queues",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("looked_at", Double, nullable=False),  # when a reaper last compared its messages with its records
)

workers: Final = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", String(100), nullable=False),
    Column("queues", JSON, nullable=False),
    Column("version", String(100), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("layers", JSON, nullable=False),
    Column("runtimes", JSON, nullable=False),
)

durations: Final = Table(
    "durations",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job", String(64), nullable=False),  # which may have been deleted
    Column("kind", String(100), nullable=False),
    Column("operators", String(400), nullable=False),
    Column("seconds", Double, nullable=False),
    Column("macs", BigInteger),
    Column("parameters", BigInteger, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("epochs", Double, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("cpu", String(200), nullable=False),
    Column("finished_at", Double, nullable=False),
    Index(None, "kind", "operators"),
)

compatibility: Final = Table(
    "compatibility",
    metadata,
    Column("oldest", String(20), primary_key=True),  # no code of an older revision can work with this schema
)

job_uses: Final = Table(
    "job_uses",
    metadata,
    _of_job(primary_key=True),
    Column("upload", String(64), primary_key=True, index=True),
)

job_tags: Final = Table(
    "job_tags",
    metadata,
    _of_job(primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("value", String(200), nullable=False),
    Index(None, "key", "value"),
)

events: Final = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _of_job(),
    Column("attempt", Integer, nullable=False),
    Column("time", Double, nullable=False),
    Column("type", String(20), nullable=False),
    Column("level", String(20), nullable=False),
    Column("step", String(200)),
    Column("message", String, nullable=False),
    Column("values", JSON, nullable=False),
    Index(None, "job", "id"),
    sqlite_autoincrement=True,  # an id is never given twice, even after the last event was deleted
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    _of_job(index=True),
)
