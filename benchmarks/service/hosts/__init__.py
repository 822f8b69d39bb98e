"""Short jobs on two hosts that share no folder, while whatever can fail does, at random moments of a stated seed."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parts import Row
from benchmarks.service.hosts.faults import FAULTS, moments
from benchmarks.service.hosts.load import Load
from tests.support.cluster import Cluster, cluster
from tests.support.hosts import why_no_hosts

JOBS = int(os.environ.get("WINNOW_BENCH_JOBS", "200"))
COUNT = int(os.environ.get("WINNOW_BENCH_FAULTS", "60"))
SEED = int(os.environ.get("WINNOW_BENCH_SEED", "0"))
LEASE_SECONDS, REPUBLISH_SECONDS, MAX_ATTEMPTS = 5.0, 4.0, 20
"""Many attempts: that a job is killed again and again is this benchmark's doing."""
TIDY_SECONDS = 30.0 + 20 * LEASE_SECONDS
"""By when what was left behind is gone: a sweep of the workers later."""


def rows(folder: Path) -> Iterator[Row]:
    if (why := why_no_hosts()) is not None:
        yield Row("hosts", "two hosts", "on one machine", f"not measured: {why}", False)
        return
    variables = {
        "WINNOW_LEASE_SECONDS": LEASE_SECONDS,
        "WINNOW_REPUBLISH_SECONDS": REPUBLISH_SECONDS,
        "WINNOW_MAX_ATTEMPTS": MAX_ATTEMPTS,
    }
    with cluster(folder, [0, 1], **variables) as two:
        yield from _played(two, folder)


def _played(two: Cluster, folder: Path) -> Iterator[Row]:
    draw, begun, done = random.Random(SEED), time.monotonic(), Counter[str]()
    with Load(two, folder, JOBS) as load:
        for at, name in moments(draw, COUNT, JOBS):
            load.wait_until_ended(at)
            time.sleep(draw.uniform(0, 1))
            print(f"{time.monotonic() - begun:6.1f} s, {load.ended()} ended: {name}", flush=True)
            FAULTS[name](two, draw)
            done[name] += 1
        load.wait_until_ended(JOBS)
    print(*load.problems(), sep="\n", flush=True)
    seconds = time.monotonic() - begun
    where = "namespaces of process, network, mount and name; PostgreSQL, Redis, S3"
    yield Row(
        "hosts", f"{COUNT} faults, seed {SEED}", "all kinds", told(done), len(done) == min(COUNT, len(FAULTS))
    )
    yield Row(
        "hosts",
        f"{JOBS} jobs on two hosts ({where})",
        "all succeed",
        told(load.states()),
        load.all_succeeded(),
    )
    yield Row(
        "hosts",
        "lost, or there twice",
        "none",
        f"{load.lost()}, {load.doubled()}",
        not load.lost() + load.doubled(),
    )
    yield Row("hosts", "finished twice", "none", str(load.twice()), not load.twice())
    differ = load.damaged()
    yield Row(
        "hosts", "artifacts whose bytes match their hash", "all", f"{JOBS - differ} of {JOBS}", not differ
    )
    yield Row("hosts", "stray processes, scratch", "none", *_tidied(two))
    retried = load.retried()
    yield Row("hosts", "time", "told", f"{seconds:.0f} s; {retried} jobs took more than one attempt", True)


def _tidied(two: Cluster) -> tuple[str, bool]:
    """What is left of work that is over, once the workers have had the time to sweep."""
    deadline = time.monotonic() + TIDY_SECONDS
    while (left := _left(two)) != (0, 0) and time.monotonic() < deadline:
        time.sleep(1)
    return f"{left[0]}, {left[1]} after {TIDY_SECONDS + time.monotonic() - deadline:.0f} s", left == (0, 0)


def _left(two: Cluster) -> tuple[int, int]:
    children = [child for host in two.hosts for child in host.processes(" worker.child ")]
    scratch = [place for host in two.hosts for place in (host.disk / "scratch").glob("*")]
    return len(children), len(scratch)


def told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
