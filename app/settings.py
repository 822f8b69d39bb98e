"""What the operator decides, read from `WINNOW_*` variables at the entry points only."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.hosts import names_of, parse_patterns

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(lambda text: str(text).upper())
]


def _checked_hosts(text: str) -> str:
    parse_patterns(text)
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
    inspect_seconds: int = Field(default=300, ge=1)
    inspect_memory_bytes: int = Field(default=8 * 2**30, ge=2**28)

    log_level: LogLevel = "INFO"

    @property
    def hosts(self) -> frozenset[str]:
        """The patterns that a Host may match: those allowed, and the address that is listened on."""
        return parse_patterns(self.allowed_hosts) | names_of(self.host)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'winnow.db'}"

    @property
    def blobs_dir(self) -> Path:
        return self.data_dir.resolve() / "blobs"

    @property
    def scratch_dir(self) -> Path:
        return self.data_dir.resolve() / "scratch"

    @property
    def queue_dir(self) -> Path:
        return self.data_dir.resolve() / "queue"
