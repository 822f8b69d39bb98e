"""Variables of the environment that look like ours and are not."""

from collections.abc import Iterator, Mapping
from typing import Final

from winnow.contract.nearest import did_you_mean

PREFIX: Final = "WINNOW_"
SETTINGS: Final = (
    "data_dir",
    "database_url",
    "broker_url",
    "blobs_url",
    "blob_redirect",
    "cache_bytes",
    "ranges_above_bytes",
    "host",
    "port",
    "allowed_hosts",
    "workers",
    "capabilities",
    "threads",
    "grace_seconds",
    "oidc_issuer",
    "oidc_audience",
    "oidc_scopes_claim",
    "auth",
    "admin_key_file",
    "session_seconds",
    "max_upload_bytes",
    "max_stored_bytes",
    "max_open_jobs",
    "requests_per_minute",
    "keep_free_bytes",
    "max_unpacked_bytes",
    "allow_torchscript",
    "lease_seconds",
    "max_attempts",
    "republish_seconds",
    "blob_grace_seconds",
    "retention",
    "inspect_seconds",
    "inspect_memory_bytes",
    "child_filters",
    "max_job_seconds",
    "max_job_memory_bytes",
    "measure_lock",
    "measure_wait_seconds",
    "quiet_wait_seconds",
    "webhook_private",
    "upload_ttl_seconds",
    "log_level",
    "log_format",
    "metrics",
    "task_events",
)
"""Those of the service (`app.settings`), written in capitals behind the prefix: a test compares them."""
OTHERS: Final = ("WINNOW_URL", "WINNOW_KEY", "WINNOW_CONFIG", "WINNOW_PARENT_PID")
"""What is read beside the settings: where the service is, the key to it, a file of settings, and whose worker this
is."""
FOREIGN: Final = tuple(PREFIX + start for start in ("TEST_", "FUZZ_", "REQUIRE_", "GENERATED"))
"""Those of the tests."""


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that begins like ours and that nothing reads."""
    known = [*(PREFIX + name.upper() + end for name in SETTINGS for end in ("", "_FILE")), *OTHERS]
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not name.startswith(FOREIGN):
            yield f"{name} is no variable of Winnow and has no effect.{did_you_mean(name, known)}"
