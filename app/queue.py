"""The queue carries ids and nothing else; losing a message costs a delay, never a job."""

import logging
from typing import Any, Final, Protocol

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES

from app import keepalive
from app.settings import Settings
from app.storage.kinds import family_of
from app.storage.records import Family, Queue, Wake
from winnow.contract.capability import ALIASES, CPU

log = logging.getLogger(__name__)

PING_SECONDS = 2

TASK: Final[dict[Family, str]] = {"inspect": "winnow.inspect", "work": "winnow.run"}

TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "app.redis_transport:Transport"))


class WakeUp(Protocol):
    def publish(self, wake: Wake) -> bool:
        """Tell the workers. False when the broker cannot be reached: the reaper publishes again later."""

    def length(self, queue: Queue) -> int | None:
        """How many messages wait for a worker to take them; None when the broker cannot be reached."""

    def ping(self) -> bool: ...


class MemoryQueue:
    """Keeps what was published; for tests and for a service without workers."""

    def __init__(self) -> None:
        self.published: list[Wake] = []

    def publish(self, wake: Wake) -> bool:
        self.published.append(wake)
        return True

    def length(self, queue: Queue) -> int | None:
        return sum(wake.queue == queue for wake in self.published)

    def ping(self) -> bool:
        return True


class CeleryQueue:
    def __init__(self, settings: Settings) -> None:
        self._celery = celery_application(settings)

    def publish(self, wake: Wake) -> bool:
        try:
            task = TASK[family_of(wake.queue)]
            self._celery.send_task(task, args=[wake.id], queue=wake.queue, ignore_result=True)
        except (OperationalError, OSError) as error:
            log.warning("broker unreachable, %s waits for the reaper: %s", wake.id, error)
            return False
        return True

    def length(self, queue: Queue) -> int | None:
        with self._celery.connection_for_write() as connection:
            unreachable = (OperationalError, OSError, *connection.connection_errors)
            try:
                connection.ensure_connection(max_retries=1, timeout=PING_SECONDS)
                return sum(int(connection.default_channel._size(name)) for name in queues_of(queue))
            except unreachable as error:
                log.warning("the broker cannot be asked for its messages: %s", error)
                return None

    def ping(self) -> bool:
        return self.length(CPU) is not None


def queues_of(capability: str) -> list[str]:
    """Where the hints are for who has this: also under an older name, for services and workers of the last version."""
    return [capability, *(alias for alias, stands_for in ALIASES.items() if stands_for == capability)]


def celery_application(settings: Settings) -> Celery:
    """The one Celery configuration, for sender and worker. Why each setting: docs/operations.md."""
    celery = Celery("winnow", set_as_current=False)
    celery.conf.update(
        broker_url=settings.broker_url or "filesystem://localhost",
        broker_transport=None if settings.broker_url else "app.file_transport:Transport",
        broker_transport_options=_transport_options(settings),
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        task_publish_retry_policy={
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.2,
        },
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=settings.task_events,
        worker_enable_remote_control=False,
        worker_proc_alive_timeout=60.0,
        worker_hijack_root_logger=False,
    )
    return celery


def _transport_options(settings: Settings) -> dict[str, Any]:
    if settings.broker_url is not None:
        return {
            "visibility_timeout": 7 * 86400,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "socket_keepalive_options": keepalive.OF_SOCKETS,
        }
    folders = [settings.queue_dir / name for name in ("waiting", "taken", "control")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    waiting, taken, control = map(str, folders)
    return {
        "data_folder_in": waiting,
        "data_folder_out": waiting,
        "processed_folder": taken,
        "control_folder": control,
        "polling_interval": 0.1,
    }
