"""What the operator decides, read from `WINNOW_*` variables at the entry points only."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.hosts import names_of, parse_patterns
from app.retention import Retention, parse_retention

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(lambda text: str(text).upper())
]


def _checked_hosts(text: str) -> str:
    parse_patterns(text)
    return text


def _checked_retention(text: str) -> str:
    parse_retention(text)
    return text


class Settings(BaseSettings):
    """Defaults make the embedded service: one host, SQLite, a local directory, Celery's filesystem transport."""

    model_config = SettingsConfigDict(env_prefix="WINNOW_", extra="ignore")

    data_dir: Path = Field(default=Path("var"), description="Records, blobs, queue and scratch live here.")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; SQLite in data_dir when unset."
    )
    broker_url: str | None = Field(
        default=None,
        pattern="^rediss?://",
        description="`redis://…`; Celery's filesystem transport when unset.",
    )
    host: str = Field(
        default="127.0.0.1", description="Address to listen on: loopback unless told otherwise."
    )
    port: int = Field(default=8000, ge=0, le=65535)
    allowed_hosts: Annotated[str, AfterValidator(_checked_hosts)] = Field(
        default="localhost, 127.0.0.1, [::1]", description="Names by which requests may call this service."
    )

    max_upload_bytes: int = Field(default=8 * 2**30, ge=1)
    max_unpacked_bytes: int = Field(
        default=32 * 2**30, ge=1, description="Cap on what one archive may unpack to."
    )
    allow_torchscript: bool = Field(
        default=False, description="TorchScript files can touch the file system when they are loaded."
    )

    lease_seconds: float = Field(
        default=30.0, gt=0, description="A worker that is silent for longer has lost its job."
    )
    max_attempts: int = Field(default=3, ge=1)
    republish_seconds: float = Field(
        default=60.0, gt=0, description="Queued for longer: publish the hint again."
    )
    blob_grace_seconds: float = Field(
        default=600.0, ge=0, description="Unreferenced bytes younger than this are kept."
    )
    retention: Annotated[str, AfterValidator(_checked_retention)] | None = Field(
        default=None,
        description="How long records are kept, by kind and state: `job.failed=7d, model.rejected=1d`; unset for ever.",
    )
    inspect_seconds: int = Field(default=300, ge=1)
    inspect_memory_bytes: int = Field(default=8 * 2**30, ge=2**28)

    child_filters: bool = Field(
        default=True,
        description="Children under Landlock and a filter on system calls, where the kernel has them.",
    )

    max_job_seconds: int = Field(
        default=7 * 86400,
        ge=1,
        le=7 * 86400,
        description="The longest that a job may ask an attempt to take.",
    )
    max_job_memory_bytes: int | None = Field(
        default=None,
        ge=2**28,
        le=2**44,
        description="The most memory that a job may ask for; unset for 16 TiB.",
    )
    measure_lock: Path | None = Field(
        default=None, description="Held by who measures; a file in data_dir when unset."
    )
    measure_wait_seconds: float = Field(
        default=1800.0, ge=0, description="A job that waits longer for its turn to measure fails."
    )

    quiet_wait_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        description="How long a measurement waits for other programs to leave the CPUs alone.",
    )

    log_level: LogLevel = "INFO"
    log_format: Literal["console", "json"] = Field(
        default="console", description="Lines for people, or one JSON object a line."
    )
    metrics: bool = Field(default=True, description="`/metrics` for Prometheus.")
    task_events: bool = Field(default=False, description="Celery's events, for Flower.")

    @property
    def hosts(self) -> frozenset[str]:
        """The patterns that a Host may match: those allowed, and the address that is listened on."""
        return parse_patterns(self.allowed_hosts) | names_of(self.host)

    @property
    def kept_for(self) -> Retention:
        """(kind, final state) → seconds; what is not there is kept for ever."""
        return parse_retention(self.retention or "")

    @property
    def look_seconds(self) -> float:
        """How often a queue is looked after, by whichever process comes first."""
        return self.republish_seconds / 4

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'winnow.db'}"

    @property
    def measuring_variables(self) -> dict[str, str]:
        """What whoever measures reads from its environment."""
        return {
            "WINNOW_MEASURE_LOCK": str(self.measure_lock_file),
            "WINNOW_MEASURE_WAIT_SECONDS": f"{self.measure_wait_seconds:g}",
            "WINNOW_QUIET_WAIT_SECONDS": f"{self.quiet_wait_seconds:g}",
        }

    @property
    def measure_lock_file(self) -> Path:
        return (self.measure_lock or self.data_dir / "measure.lock").resolve()

    @property
    def blobs_dir(self) -> Path:
        return self.data_dir.resolve() / "blobs"

    @property
    def scratch_dir(self) -> Path:
        return self.data_dir.resolve() / "scratch"

    @property
    def queue_dir(self) -> Path:
        return self.data_dir.resolve() / "queue"
