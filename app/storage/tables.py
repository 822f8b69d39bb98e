"""The tables. A column is named as the field of `records.py` that it keeps; the others say what they are for.

`job_uses` and `job_tags` index what the job's own JSON says, so that a search needs no JSON operators.
A change here needs a revision in `migrations/versions`; a test compares the two.
"""

from typing import Any, Final

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
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.schema import SchemaItem

from winnow.contract.capability import CPU

JSON: Final = AnyJSON(none_as_null=True)


class Names(TypeDecorator[tuple[str, ...]]):
    """Sorted names as one text, which can be compared and grouped by."""

    impl = String(200)
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Any) -> str | None:
        return None if value is None else ",".join(value)

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[str, ...] | None:
        return None if value is None else tuple(value.split(","))


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
        Column("holder", String(64)),
        Column("cancel_requested", Boolean, nullable=False),
        Column("problem", JSON),
        Column("published_at", Double, nullable=False),
        Column("origin", JSON),
    ]


def _in_turn() -> list[SchemaItem]:
    """By what a worker chooses what to take."""
    return [
        Column("needs", Names, nullable=False, server_default=CPU),
        Column("priority", Integer, nullable=False, server_default="0"),
    ]


IN_ORDER: Final = ("state", "needs", "owner", "priority", "created_at", "id")
"""An index that has all by which something is chosen."""


def _of_job(*, primary_key: bool = False, index: bool = False) -> Column[str]:
    job = ForeignKey("jobs.id", ondelete="CASCADE")
    return Column("job", String(64), job, primary_key=primary_key, index=index, nullable=False)


def _asked_about(name: str, table: str) -> Column[str]:
    return Column(name, String(64), ForeignKey(f"{table}.id", ondelete="CASCADE"), index=True)


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
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Column("identity", String(64), nullable=False),  # rules.identity(): what makes two uploads the same
    UniqueConstraint("identity"),
    Index(None, "owner", "kind", "created_at", "id"),
    Index(None, "state", "published_at"),
    Index(None, "state", "kind", "size_bytes"),  # has all that is counted, as those of jobs and trials
)

inquiries: Final = Table(
    "inquiries",
    metadata,
    *_leased(),
    Column("kind", String(20), nullable=False),
    _asked_about("model", "uploads"),
    _asked_about("dataset", "uploads"),
    _asked_about("job", "jobs"),
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
    *_in_turn(),
    Column("queued_at", Double),
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
    Column("page_sha256", String(64)),
    Column("curves_sha256", String(64)),
    Column("curves_bytes", BigInteger),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Index(None, "owner", "created_at", "id"),
    Index(None, "state", "created_at", "id"),
    Index(None, "state", "published_at"),
    Index(None, "model", "created_at"),
    Index(None, *IN_ORDER, "searches"),
    Index(None, "searches", "state", "outcome", "artifact_bytes", "curves_bytes"),
)

studies: Final = Table(
    "studies",
    metadata,
    *_leased(),
    *_in_turn(),
    _of_job(),
    Column("news", Integer, nullable=False),
    UniqueConstraint("job"),
    Index(None, "state", "published_at"),
    Index(None, *IN_ORDER),
)

trials: Final = Table(
    "trials",
    metadata,
    *_leased(),
    *_in_turn(),
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
    Column("page_sha256", String(64)),
    Column("graph_sha256", String(64)),
    Column("candidates", JSON, nullable=False),
    UniqueConstraint("job", "number"),
    Index(None, "state", "published_at"),
    Index(None, *IN_ORDER),
    Index(None, "state", "role", "artifact_bytes"),
)

queues: Final = Table(
    "queues",
    metadata,
    Column("name", String(20), primary_key=True),  # of a family of queues
    Column("looked_at", Double, nullable=False),  # when a reaper last compared messages with records
    Column("released", BigInteger, nullable=False, server_default="0"),  # by reapers, in all
    Column("republished", BigInteger, nullable=False, server_default="0"),
)

turns: Final = Table(
    "turns",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("family", String(20), primary_key=True),
    Column("number", BigInteger, nullable=False),  # of the owner's last turn: the greater the later
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
    Column("device", String(200), nullable=False, server_default=""),
    Column("cores", Integer, nullable=False, server_default="1"),
    Column("memory_bytes", BigInteger, nullable=False, server_default="0"),
    Column("threads", Integer),
    Column("draining", Boolean, nullable=False, server_default=false()),
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

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
    Index(None, "created_at", "id"),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("key", String(64), ForeignKey("api_keys.id", ondelete="CASCADE"), index=True),
)

secrets: Final = Table(
    "secrets",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", String(100), nullable=False),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("owner", String(200), nullable=False),
    Column("key", String(64)),  # an API key's id; those are never deleted
    Column("method", String(20), nullable=False),
    Column("route", String(200), nullable=False),
    Column("object", String(200)),
    Column("status", Integer, nullable=False),
    Column("request_id", String(64), nullable=False),
    Index(None, "created_at", "id"),
)

transfers: Final = Table(
    "transfers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("options", JSON, nullable=False),
    Column("filename", String),
    Column("metadata", String),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("upload", String(64)),  # which may have been deleted
    Column("problem", JSON),
    Index(None, "owner"),
)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("url", String(2000), nullable=False),
    Column("events", JSON, nullable=False),
    Column("secret", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "owner", "created_at", "id"),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("webhook", String(64), ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("event", String(40), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("next_at", Double),
    Column("lease_until", Double, index=True),
    Column("status", Integer),
    Column("error", String),
    Index(None, "state", "next_at"),
    Index(None, "webhook", "created_at", "id"),
)

blobs: Final = Table(
    "blobs",  # of a store on a server; those in files need none
    metadata,
    Column("key", String(64), primary_key=True),
    Column("sha256", String(64)),  # null while the bytes come in, and once they are to be removed
    Column("size_bytes", BigInteger),
    Column("written_at", Double, nullable=False, index=True),  # 0 once they are to be removed
    Column("block_hashes", Text),  # of large ones that somebody has read as a whole
    UniqueConstraint("sha256"),
)

checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("item", String(64), primary_key=True),  # the job's id, or the trial's
    Column("slot", String(20), primary_key=True),
    _of_job(index=True),
    Column("key", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("kept_at", Double, nullable=False),
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
