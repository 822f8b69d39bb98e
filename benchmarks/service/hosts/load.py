"""Jobs that are submitted while things fail, and what became of them."""

import hashlib
import time
import uuid
from collections import Counter
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

import onnx
from sqlalchemy.exc import SQLAlchemyError

from app.storage.records import LOCAL_OWNER, Job, JobFilter, Page
from tests.support.cluster import Cluster
from tests.support.graphs import cnn
from winnow.client import Client, ClientError
from winnow.contract.job import FINISHED, JobRequest

MOST_WAITING = 12
POLL_SECONDS = 0.2
JOB_SECONDS = 15
"""That each may take in the mean before what has not ended counts as stuck."""


class Load:
    """A context: a thread submits so many jobs, more than the hosts can do at once, to one after the other."""

    def __init__(self, cluster: Cluster, folder: Path, jobs: int) -> None:
        self._cluster, self._jobs, self._deadline = cluster, jobs, time.monotonic() + 120 + JOB_SECONDS * jobs
        self._accepted: list[str] = []
        self._stop = Event()
        self._thread = Thread(target=self._submit_all, name="load")
        onnx.save(cnn(), file := folder / "cnn.onnx")
        with cluster.client(cluster.hosts[0]) as client:
            self._model = client.upload_model(file).id

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def ended(self) -> int:
        return sum(job.state in FINISHED for job in self.records())

    def wait_until_ended(self, count: int) -> None:
        """Returns too when all the time that there is has passed."""
        while self.ended() < count and time.monotonic() < self._deadline:
            time.sleep(POLL_SECONDS)

    def records(self) -> list[Job]:
        """All jobs of the service, as soon as its database says them."""
        while True:
            with suppress(SQLAlchemyError):
                return list(self._cluster.records.jobs(LOCAL_OWNER, JobFilter(), Page(limit=10 * self._jobs)))
            time.sleep(POLL_SECONDS)

    def states(self) -> Counter[str]:
        return Counter(f"{job.state} {(job.problem or {}).get('code', '')}".strip() for job in self.records())

    def problems(self) -> list[str]:
        """What the jobs say that failed."""
        return [f"{job.id}: {job.problem}" for job in self.records() if job.problem is not None]

    def all_succeeded(self) -> bool:
        return self.states() == {"succeeded": self._jobs}

    def lost(self) -> int:
        """Accepted, and never ended or not there."""
        ended = {job.id for job in self.records() if job.state in FINISHED}
        return sum(id not in ended for id in self._accepted) + self._jobs - len(self._accepted)

    def doubled(self) -> int:
        """There although nobody was told of them: an answer was lost, and the repeated request made another."""
        return sum(job.id not in self._accepted for job in self.records())

    def twice(self) -> int:
        """Came to a final state more than once."""
        return sum(self._ends(job.id) > 1 for job in self.records())

    def retried(self) -> int:
        return sum(job.attempt > 1 for job in self.records())

    def damaged(self) -> int:
        """Artifacts that cannot be had, or whose bytes have another hash."""
        with self._cluster.client(self._cluster.hosts[0]) as client:
            return sum(not self._is_sound(client, job) for job in self.records())

    def _is_sound(self, client: Client, job: Job) -> bool:
        file = self._cluster.folder / "artifact.onnx"
        with suppress(ClientError):
            client.download(job.id, file)
            return hashlib.sha256(file.read_bytes()).hexdigest() == job.artifact_sha256
        return False

    def _ends(self, id: str) -> int:
        events = self._cluster.records.events(id, 0, 10_000)
        return sum(event.type == "state" and event.values["state"] in FINISHED for event in events)

    def _submit_all(self) -> None:
        hosts = cycle(range(len(self._cluster.hosts)))
        while len(self._accepted) < self._jobs and not self._stop.is_set():
            if len(self._accepted) - self.ended() >= MOST_WAITING:
                time.sleep(POLL_SECONDS)
            else:
                self._submit(uuid.uuid4().hex, hosts)

    def _submit(self, key: str, hosts: "cycle[int]") -> None:
        """Until one of the hosts accepts it: with one key, so that it is one job however often it was asked for."""
        request = JobRequest.model_validate(
            {
                "model": self._model,
                "recipe": {"steps": [{"kind": "float16"}]},
                "seed": len(self._accepted),
                "benchmark": {"rounds": 9},
            }
        )
        while not self._stop.is_set():
            with (
                suppress(ClientError, IndexError),
                self._cluster.client(self._cluster.hosts[next(hosts)]) as client,
            ):
                self._accepted.append(client.submit(request, idempotency_key=key).id)
                return
            time.sleep(POLL_SECONDS)
