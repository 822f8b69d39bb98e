"""What the operator decides, read from `WINNOW_*` variables and the files that they name at the entry points only."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.hosts import is_loopback, names_of, parse_patterns
from app.networks import NONE, Networks, parse_networks
from app.retention import Retention, parse_retention
from app.setting_sources import PREFIX, ConfigFile, ValueFiles
from winnow.contract.capability import MAX_CAPABILITIES, PATTERN, canonical

MAX_THREADS: Final = 1024

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(lambda text: str(text).upper())
]


def _checked_hosts(text: str) -> str:
    parse_patterns(text)
    return text


def _checked_capabilities(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not re.fullmatch(PATTERN, name):
            raise ValueError(
                "capabilities are names with commas between them, as in 'cpu, cuda', each of small letters, digits and "
                f"hyphens, 30 at most; {name!r} is none"
            )
    if len(names) > MAX_CAPABILITIES:
        raise ValueError(f"a worker has {MAX_CAPABILITIES} capabilities at most, these are {len(names)}")
    return ",".join(canonical(names))


Auth = Literal["none", "keys", "oidc"]


def _checked_issuer(url: str) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not secure or not parts.hostname:
        raise ValueError("an address that begins with https:// was expected (http:// for this machine alone)")
    return url


def _needs_an_issuer(auth: Auth, info: ValidationInfo) -> Auth:
    missing = [name for name in ("oidc_issuer", "oidc_audience") if info.data.get(name) is None]
    if auth == "oidc" and missing:
        raise ValueError(f"oidc also needs {' and '.join(f'WINNOW_{name.upper()}' for name in missing)}")
    return auth


def _checked_retention(text: str) -> str:
    parse_retention(text)
    return text


def _checked_networks(text: str) -> str:
    parse_networks(text)
    return text


class Settings(BaseSettings):
    """Defaults make the embedded service: one host, SQLite, a local directory, Celery's filesystem transport."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Of two, the first wins. Raises `SettingsError` where a file cannot be used."""
        return init_settings, env_settings, ValueFiles(settings_cls), ConfigFile(settings_cls)

    data_dir: Path = Field(default=Path("var"), description="Records, blobs, queue and scratch live here.")
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; SQLite in data_dir when unset."
    )
    broker_url: str | None = Field(
        default=None,
        pattern="^rediss?://",
        description="`redis://…`; Celery's filesystem transport when unset.",
    )
    blobs_url: str | None = Field(
        default=None,
        pattern="^(s3|gs|az)://[^/]",
        description="`s3://bucket/prefix` (`gs://…`, `az://container/prefix`); files in data_dir when unset.",
    )
    blob_redirect: bool = Field(
        default=False, description="Downloads are redirected to signed addresses of the bucket."
    )
    cache_bytes: int = Field(
        default=32 * 2**30, ge=0, description="What a worker keeps of a bucket's blobs, beside what it uses."
    )
    ranges_above_bytes: int = Field(
        default=2**28,
        ge=0,
        description="Of a bucket's datasets that are larger, a worker fetches the ranges that a job reads.",
    )
    host: str = Field(
        default="127.0.0.1", description="Address to listen on: loopback unless told otherwise."
    )
    port: int = Field(default=8000, ge=0, le=65535)
    allowed_hosts: Annotated[str, AfterValidator(_checked_hosts)] = Field(
        default="localhost, 127.0.0.1, [::1]", description="Names by which requests may call this service."
    )

    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Workers for jobs of `winnow serve`; as many as cores and memory are for when unset.",
    )
    capabilities: Annotated[str, AfterValidator(_checked_capabilities)] | None = Field(
        default=None,
        description="What a worker is able to do; `cpu`, and `cuda` where a GPU can be seen, when unset.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=MAX_THREADS,
        description="Of a job's process; the cores, divided by the machine's workers for jobs, when unset.",
    )
    grace_seconds: float = Field(
        default=0.0, ge=0, description="How long a worker that is told to end may finish what it does."
    )
    oidc_issuer: Annotated[str, AfterValidator(_checked_issuer)] | None = Field(
        default=None, description="Who issues the tokens: `https://…`, as in their `iss`."
    )
    oidc_audience: str | None = Field(
        default=None, min_length=1, description="What the tokens are for: this service's name in their `aud`."
    )
    oidc_scopes_claim: str = Field(
        default="scope",
        min_length=1,
        description="Where a token says read, write and admin; `a.b` for a claim in a claim.",
    )
    auth: Annotated[Auth, AfterValidator(_needs_an_issuer)] = Field(
        default="none",
        description="How who asks is known: not at all, by API keys, or by OpenID Connect tokens.",
    )
    admin_key_file: Path | None = Field(
        default=None, description="A file that holds an admin key, which is accepted from the start."
    )
    session_seconds: int = Field(
        default=43200, ge=60, le=30 * 86400, description="How long a browser's session lasts."
    )

    max_upload_bytes: int = Field(default=8 * 2**30, ge=1)
    max_stored_bytes: int | None = Field(
        default=None, ge=1, description="Bytes of uploads and results that one owner may have."
    )
    max_open_jobs: int | None = Field(
        default=None, ge=1, description="Jobs of one owner that have not finished."
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="Of one owner, in each process of the API."
    )
    keep_free_bytes: int = Field(
        default=2**28,
        ge=0,
        description="Uploads and jobs are refused where they would leave less room on the disk.",
    )
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

    webhook_private: Annotated[str, AfterValidator(_checked_networks)] = Field(
        default=NONE,
        description="Addresses beside the public ones to which webhooks may be sent: `true`, or networks.",
    )
    upload_ttl_seconds: float = Field(
        default=86400.0,
        gt=0,
        description="An upload in parts that gets no further part is dropped after so long.",
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
    def listens_to_strangers(self) -> bool:
        """Whether others than this machine reach it although nobody is asked who they are."""
        return self.auth == "none" and not is_loopback(self.host)

    @property
    def kept_for(self) -> Retention:
        """(kind, final state) → seconds; what is not there is kept for ever."""
        return parse_retention(self.retention or "")

    @property
    def webhook_networks(self) -> Networks:
        return parse_networks(self.webhook_private)

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
    def partial_dir(self) -> Path:
        return self.data_dir.resolve() / "partial"

    @property
    def cache_dir(self) -> Path:
        return self.data_dir.resolve() / "cache"

    @property
    def scratch_dir(self) -> Path:
        return self.data_dir.resolve() / "scratch"

    @property
    def queue_dir(self) -> Path:
        return self.data_dir.resolve() / "queue"
