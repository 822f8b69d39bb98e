"""Kill things while jobs run, then count: what ended, what was lost, what ended twice, what was left behind."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import onnx

from app.storage.open import open_records
from app.storage.ports import Records
from app.storage.records import LOCAL_OWNER
from tests.support.graphs import cnn
from tests.support.redis import RedisServer, redis_server
from tests.support.service import Service, send, service
from winnow.client import Client
from winnow.contract.job import FINISHED, JobRequest

Transport = Literal["files", "redis"]
T = TypeVar("T")

LEASE_SECONDS = 3.0
REPUBLISH_SECONDS = 2.0
MAX_ATTEMPTS = 4
"""Three kills may all meet the same job: that one is to succeed too."""

STOP_SECONDS = 5.0
POLL_SECONDS = 0.2
"""To look at every process of the machine is work: more often, and what the jobs measure comes out less sure."""

STRAY_SECONDS = 10.0
"""How long what was orphaned may take to end."""


@dataclass
class Scene:
    """A running service and the jobs it was given."""

    service: Service
    records: Records
    redis: RedisServer | None
    model: str
    jobs: list[str] = field(default_factory=list)
    poison: str | None = None
    cancelled: dict[str, float] = field(default_factory=dict)
    """Jobs that were cancelled, and after how many seconds they were."""
    overtaken_before: int = 0

    def submit(self, count: int) -> None:
        request = JobRequest.model_validate(_request(self.model))
        with Client(self.service.url) as client:
            self.jobs += [client.submit(request).id for _ in range(count)]

    def running(self) -> str:
        """The job at work, as soon as its child exists."""
        return self.until(lambda: next((id for id in self.jobs if self.service.children(id)), None))

    def state(self, id: str) -> str:
        job = self.records.job(LOCAL_OWNER, id)
        return job.state if job else "lost"

    def attempts(self, id: str) -> int:
        job = self.records.job(LOCAL_OWNER, id)
        return job.attempt if job else 0

    def ended(self) -> list[str]:
        return [id for id in self.jobs if self.state(id) in FINISHED]

    def ends(self, id: str) -> int:
        """How often the job came to a final state."""
        events = self.records.events(id, 0, 10_000)
        return sum(event.type == "state" and event.values["state"] in FINISHED for event in events)

    def overtaken(self) -> int:
        return self.service.log().count("was overtaken") - self.overtaken_before

    def strays(self) -> int:
        """Processes of jobs that are over; what was orphaned may take some seconds to end."""
        deadline = time.monotonic() + STRAY_SECONDS
        while (stray := len(self.service.children("job_"))) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return stray

    def until(self, found: Callable[[], T | None], seconds: float = 120.0) -> T:
        """The first answer that is something. Raises `TimeoutError` with the end of the log."""
        deadline = time.monotonic() + seconds
        while (answer := found()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(self.service.log()[-5000:])
            time.sleep(POLL_SECONDS)
        return answer


@dataclass(frozen=True)
class Outcome:
    """`retried`: needed more than one attempt; `lost`: never ended; `twice`: ended more than once; `stray`: processes
    that outlived the service; `overtaken`: attempts that were dropped because another had taken over."""

    case: str
    transport: Transport
    jobs: int
    succeeded: int
    failed: int
    cancelled: int
    retried: int
    lost: int
    twice: int
    stray: int
    overtaken: int
    seconds: float
    cancel_seconds: list[float]


def kill_children(scene: Scene) -> None:
    """SIGKILL to the guard of one job and to the work of another."""
    first = scene.running()
    guard, *_ = sorted(scene.service.children(first), key=lambda process: process.pid)
    send([guard], signal.SIGKILL)
    second = scene.until(lambda: next((id for id in scene.jobs if id != first and _work(scene, id)), None))
    send(_work(scene, second), signal.SIGKILL)


def kill_worker(scene: Scene) -> None:
    """SIGKILL to the pool process, then to the worker's parent, then to both."""
    for which in (slice(1, 2), slice(0, 1), slice(0, 2)):
        children = scene.service.children(scene.running())
        processes = sorted(scene.service.workers("cpu"), key=lambda process: process.pid)
        send(processes[which], signal.SIGKILL)
        scene.until(lambda them=children: not set(them) & set(scene.service.children()) or None)  # type: ignore[misc]


def kill_main(scene: Scene) -> None:
    """SIGKILL to the API's process; then it is started again on the same data."""
    scene.running()
    scene.service.kill()
    assert scene.service.gone(STRAY_SECONDS) == []
    scene.service.start()


def restart(scene: Scene) -> None:
    """SIGTERM, as an operator does it: stops in seconds, and no attempt is counted against a job."""
    scene.running()
    assert scene.service.stop() < STOP_SECONDS
    assert scene.service.gone(0) == []
    scene.service.start()


def freeze_worker(scene: Scene) -> None:
    """SIGSTOP past the lease, while a second worker takes over; then it goes on."""
    overtaken = scene.running()
    frozen = scene.service.workers("cpu")
    send(frozen, signal.SIGSTOP)
    second = scene.service.command("worker", "--capabilities", "cpu")
    scene.until(lambda: scene.state(overtaken) in FINISHED or None)
    send(frozen, signal.SIGCONT)
    scene.until(lambda: scene.overtaken() or None)
    second.terminate()
    second.wait(20)


def cancel_jobs(scene: Scene) -> None:
    """One that runs, one that waits."""
    with Client(scene.service.url) as client:
        for id in (scene.running(), scene.jobs[-1]):
            begun = time.monotonic()
            client.cancel(id)
            scene.until(lambda id=id: scene.state(id) in FINISHED or None)  # type: ignore[misc]
            scene.cancelled[id] = time.monotonic() - begun


def poison_job(scene: Scene) -> None:
    """One job's child is killed whenever it appears."""
    scene.poison = scene.running()

    def ended() -> bool | None:
        send(scene.service.children(scene.poison or ""), signal.SIGKILL)
        return scene.state(scene.poison or "") in FINISHED or None

    scene.until(ended)


def kill_redis(scene: Scene) -> None:
    """SIGKILL, and it comes back with nothing: every waiting message is lost."""
    assert scene.redis is not None
    scene.running()
    scene.redis.kill()
    time.sleep(2.0)
    scene.redis.start()


CASES: dict[str, Callable[[Scene], None]] = {
    "kill the child": kill_children,
    "kill the worker": kill_worker,
    "kill the API": kill_main,
    "stop and start": restart,
    "freeze the worker": freeze_worker,
    "cancel": cancel_jobs,
    "poison job": poison_job,
    "kill Redis": kill_redis,
}


def play(case: str, transport: Transport, jobs: int) -> Outcome:
    """One case from an empty folder to the last process."""
    begun = time.monotonic()
    with stage(transport) as scene:
        outcome = perform(scene, case, jobs)
        scene.service.stop()
        stray = len(scene.service.gone(STRAY_SECONDS))
        return replace(outcome, stray=stray, seconds=time.monotonic() - begun)


@contextmanager
def stage(transport: Transport) -> Iterator[Scene]:
    """A running service with a model, which any number of cases may be performed on."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server()) if transport == "redis" else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="winnow-chaos-")))
        running = stack.enter_context(
            service(
                folder / "var",
                WINNOW_LEASE_SECONDS=LEASE_SECONDS,
                WINNOW_REPUBLISH_SECONDS=REPUBLISH_SECONDS,
                WINNOW_MAX_ATTEMPTS=MAX_ATTEMPTS,
                WINNOW_BROKER_URL=redis and redis.url,
            )
        )
        onnx.save(cnn(), folder / "cnn.onnx")
        with Client(running.url) as client:
            model = client.upload_model(folder / "cnn.onnx").id
        yield Scene(running, open_records(running.settings), redis, model)


def perform(stage: Scene, case: str, jobs: int) -> Outcome:
    """One case with jobs of its own, to the end of their last process."""
    begun = time.monotonic()
    if not stage.service.runs:  # a case before this one failed
        stage.service.start()
    scene = Scene(stage.service, stage.records, stage.redis, stage.model, overtaken_before=stage.overtaken())
    scene.submit(jobs)
    CASES[case](scene)
    _wait_for_all(scene)
    return _counted(scene, case, scene.strays(), time.monotonic() - begun)


def _request(model: str) -> dict[str, Any]:
    """A job that waits until somebody may have seen it, and is over soon then: what is killed is its process, whatever
    that computes."""
    steps = [{"kind": "no_op", "seconds": 1.5}, {"kind": "float16"}]
    return {"model": model, "recipe": {"steps": steps}, "benchmark": {"rounds": 9}}


def _work(scene: Scene, id: str) -> list[Any]:
    """The work under the guard: there once the guard has forked."""
    return sorted(scene.service.children(id), key=lambda process: process.pid)[1:]


def _wait_for_all(scene: Scene) -> None:
    """What does not end in this time is counted as lost."""
    deadline = time.monotonic() + 60 + 10 * len(scene.jobs)
    while len(scene.ended()) < len(scene.jobs) and time.monotonic() < deadline:
        time.sleep(0.1)


def _counted(scene: Scene, case: str, stray: int, seconds: float) -> Outcome:
    states = [scene.state(id) for id in scene.jobs]
    return Outcome(
        case=case,
        transport="redis" if scene.redis else "files",
        jobs=len(states),
        succeeded=states.count("succeeded"),
        failed=states.count("failed"),
        cancelled=states.count("cancelled"),
        retried=sum(scene.attempts(id) > 1 for id in scene.jobs),
        lost=sum(state not in FINISHED for state in states),
        twice=sum(scene.ends(id) > 1 for id in scene.jobs),
        stray=stray,
        overtaken=scene.overtaken(),
        seconds=seconds,
        cancel_seconds=list(scene.cancelled.values()),
    )
