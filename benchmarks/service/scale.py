"""What more hosts bring: to a search whose objective is the size, and to scheduling alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import onnx

from benchmarks.parts import Row
from benchmarks.search import small_search
from benchmarks.shared_data import SHARED
from tests.support.cluster import Cluster, cluster
from tests.support.graphs import cnn
from tests.support.hosts import why_no_hosts
from winnow.contract.job import JobRequest

TRIALS = 24
LEAST_SEARCH, LEAST_SCHEDULING = 1.7, 3.3
JOBS, NO_OP_SECONDS = 20, 5.0
CORES = (0, 1, 0, 1)


def rows(folder: Path) -> Iterator[Row]:
    if (why := why_no_hosts()) is not None:
        yield Row("scale", "several hosts", "on one machine", f"not measured: {why}", False)
        return
    yield (
        _search(folder)
        if SHARED.is_dir()
        else Row("scale", "search", "", f"not measured: no {SHARED}", False)
    )
    yield _scheduling(folder)


def _search(folder: Path) -> Row:
    seconds = []
    for count in (1, 2):
        (own := folder / f"search-{count}").mkdir()
        with cluster(own, list(CORES[:count])) as hosts, hosts.client(hosts.hosts[0]) as client:
            request = small_search(client, own, trials=TRIALS)
            _wait_for_workers(hosts, count)
            begun = time.monotonic()
            client.wait(client.submit(request).id)
            seconds.append(time.monotonic() - begun)
    item = f"search of {TRIALS} trials for the size, two hosts pinned to a core each beside one"
    return _row(item, seconds, LEAST_SEARCH)


def _scheduling(folder: Path) -> Row:
    seconds = []
    (own := folder / "scheduling").mkdir()
    onnx.save(cnn(), own / "cnn.onnx")
    with cluster(own, list(CORES[:1])) as hosts:
        seconds.append(_done(hosts, own / "cnn.onnx"))
        for core in CORES[1:]:
            hosts.add(core)
        hosts.wait_until_up()
        seconds.append(_done(hosts, own / "cnn.onnx"))
    item = f"{JOBS} jobs of a no-op of {NO_OP_SECONDS:g} s, four hosts on two cores beside one"
    return _row(item, seconds, LEAST_SCHEDULING)


def _done(hosts: Cluster, file: Path) -> float:
    """From the first job to the end of the last, on hosts each of which has done one before."""
    with hosts.client(hosts.hosts[0]) as client:
        request = {
            "model": client.upload_model(file).id,
            "recipe": {"steps": [{"kind": "no_op", "seconds": NO_OP_SECONDS}]},
            "benchmark": {"rounds": 9},
        }
        _wait_for_workers(hosts, len(hosts.hosts))

        def seconds(jobs: int) -> float:
            begun = time.monotonic()
            for id in [client.submit(JobRequest.model_validate(request)).id for _ in range(jobs)]:
                client.wait(id)
            return time.monotonic() - begun

        seconds(len(hosts.hosts))
        return seconds(JOBS)


def _wait_for_workers(hosts: Cluster, count: int) -> None:
    """Until each host has said that it works: one for jobs, one for uploads."""
    deadline = time.monotonic() + 120
    while len(hosts.records.workers(time.time() - 60)) < 2 * count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {count} hosts have workers")
        time.sleep(0.2)


def _row(item: str, seconds: list[float], least: float) -> Row:
    one, more = seconds
    measured = f"{one:.1f} s and {more:.1f} s: {one / more:.2f}×"
    return Row("scale", item, f"≥ {least:g}×", measured, one / more >= least)
