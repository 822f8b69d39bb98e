"""What fails: each a function that does it and returns when it is over."""

import random
import time
from collections.abc import Callable, Iterator

import psutil

from tests.support.cluster import Cluster
from tests.support.hosts import Host

Fault = Callable[[Cluster, random.Random], None]
LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.02, 20.0


def moments(draw: random.Random, count: int, jobs: int) -> Iterator[tuple[int, str]]:
    """(How many jobs have ended by then, what fails): all kinds as often as each other, in random order."""
    names = [name for _ in range(-(-count // len(FAULTS))) for name in draw.sample(list(FAULTS), len(FAULTS))]
    times = sorted(draw.randrange(jobs) for _ in range(count))
    yield from zip(times, names[:count], strict=True)


def kill(cluster: Cluster, draw: random.Random, pattern: str) -> None:
    """SIGKILL to one of the processes with this in their command line, as soon as there is one."""
    deadline = time.monotonic() + LONGEST_LOOK_SECONDS
    while time.monotonic() < deadline:
        running = [process for host in cluster.hosts for process in host.processes(pattern)]
        if running:
            chosen: psutil.Process = draw.choice(running)
            chosen.kill()
            return
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"no process with {pattern!r}")


def kill_child(cluster: Cluster, draw: random.Random) -> None:
    kill(cluster, draw, " worker.child ")


def kill_worker(cluster: Cluster, draw: random.Random) -> None:
    kill(cluster, draw, "worker.celery_app worker")


def kill_api(cluster: Cluster, draw: random.Random) -> None:
    kill(cluster, draw, "serve --port")


def kill_broker(cluster: Cluster, draw: random.Random) -> None:
    cluster.redis.kill()
    time.sleep(draw.uniform(0, 3))
    cluster.redis.start()


def kill_broker_that_forgets(cluster: Cluster, draw: random.Random) -> None:
    cluster.redis.kill()
    cluster.redis.forget()
    time.sleep(draw.uniform(0, 3))
    cluster.redis.start()


def restart_database(cluster: Cluster, draw: random.Random) -> None:
    cluster.postgres.stop() if draw.random() < 0.5 else cluster.postgres.crash()
    time.sleep(draw.uniform(0, 3))
    cluster.postgres.start()


def fail_store_500(cluster: Cluster, draw: random.Random) -> None:
    cluster.s3.fail(*[500] * draw.randint(1, 30))


def fail_store_503(cluster: Cluster, draw: random.Random) -> None:
    cluster.s3.fail(*[503] * draw.randint(1, 30))


def reset_connections(cluster: Cluster, draw: random.Random) -> None:
    _host(cluster, draw).reset(draw.uniform(0.2, 2))


def pull_cable(cluster: Cluster, draw: random.Random) -> None:
    """Of whoever is there meanwhile: the broker may be another when it is back."""
    with _host(cluster, draw).unplugged():
        if draw.random() < 0.5:
            cluster.redis.restart()
        time.sleep(draw.uniform(2, 10))


def fill_disk(cluster: Cluster, draw: random.Random) -> None:
    host = _host(cluster, draw)
    host.fill()
    time.sleep(draw.uniform(1, 6))
    host.free()


def lose_host(cluster: Cluster, draw: random.Random) -> None:
    """With all that was on it; a new one takes its place."""
    host = _host(cluster, draw)
    cluster.lose(host)
    cluster.add(host.core)


def _host(cluster: Cluster, draw: random.Random) -> Host:
    return draw.choice(cluster.hosts)


FAULTS: dict[str, Fault] = {
    "child killed": kill_child,
    "worker killed": kill_worker,
    "API killed": kill_api,
    "broker killed, keeps": kill_broker,
    "broker killed, forgets": kill_broker_that_forgets,
    "database restarted": restart_database,
    "S3 answers 500": fail_store_500,
    "S3 answers 503": fail_store_503,
    "connections reset": reset_connections,
    "cable pulled": pull_cable,
    "disk full": fill_disk,
    "host lost": lose_host,
}
