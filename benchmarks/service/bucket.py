"""A large file on its way through the API into a bucket, beside `rclone copyto` into the same server, in turns.

Both go through the relay in front of it, since the API looks at what came in by ranges.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.parts import Row
from benchmarks.service.uploads import (
    LEAST_RATIO,
    MIB,
    MOST_GROWTH_MIB,
    ROUNDS,
    SIZE_MIB,
    made_file,
    own_bytes,
    raw_upload,
)
from tests.support.integration import binary
from tests.support.s3 import ACCESS, BUCKET, SECRET, s3_server
from tests.support.service import service


def rows(folder: Path) -> Iterator[Row]:
    file = folder / "data.npy"
    with s3_server() as server:
        reached = {**server.environment, "WINNOW_BLOBS_URL": f"s3://{BUCKET}/api"}
        with service(folder / "var", "--no-workers", WINNOW_LOG_LEVEL="ERROR", **reached) as api:
            raw_upload(api, made_file(file, 16, 0))
            before = peak = own_bytes(api)
            by_rclone, by_api = list[float](), list[float]()
            for number in range(ROUNDS):
                made_file(file, SIZE_MIB, 1 + 2 * number)
                by_rclone.append(_seconds(partial(_copied, file, server.endpoint, number)))
                made_file(file, SIZE_MIB, 2 + 2 * number)
                by_api.append(_seconds(partial(raw_upload, api, file)))
                peak = max(peak, own_bytes(api))
                server.empty()
    ours, limit = (SIZE_MIB / statistics.median(seconds) for seconds in (by_api, by_rclone))
    yield Row(
        "bucket",
        f"{SIZE_MIB} MiB into S3",
        f"≥ {LEAST_RATIO} of rclone copyto",
        f"{ours:.0f} MiB/s beside {limit:.0f}: {ours / limit:.2f}",
        ours / limit >= LEAST_RATIO,
    )
    growth = (peak - before) / MIB
    asked = f"≤ {MOST_GROWTH_MIB} MiB more"
    yield Row("bucket", "memory of the API", asked, f"{growth:.1f} MiB more", growth <= MOST_GROWTH_MIB)


def _seconds(act: Callable[[], None]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def _copied(file: Path, endpoint: str, number: int) -> None:
    settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint, "ACCESS_KEY_ID": ACCESS}
    remote = {f"RCLONE_CONFIG_BENCH_{name}": value for name, value in settings.items()}
    program = binary("rclone", str(Path(sys.executable).parent))
    command = [program, "copyto", "--config", os.devnull, "-q", str(file), f"bench:{BUCKET}/rclone/{number}"]
    secret = {"RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": SECRET}
    subprocess.run(command, check=True, env={**os.environ, **remote, **secret})
