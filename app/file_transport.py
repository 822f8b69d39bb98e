"""Celery's filesystem transport with messages that are whole or not there, as quick with 10,000 of them as with one.

Kombu's own writes a message where a consumer may already read it half written, which ends that worker, and moves it
through /tmp, which may be another disk. Here it is written beside the queue and renamed in; taking it is a rename
too, so of two consumers one gets it. What cannot be read is dropped: the reaper publishes its job again.

Kombu's own also reads the whole folder, for all queues, whenever a message is sent, taken or looked for. Here a queue
has a folder of its own, which is read to count its messages, and by a consumer that knows of no more.

    queue/waiting/<queue>/<time>_<uuid>.msg      queue/taken/…      queue/control/…
"""

import json
import logging
import os
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.transport.virtual.base import queue_declare_ok_t

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):  # type: ignore[misc]
    """One exchange per queue, of the same name: no routing tables on the disk that could be read half written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._listed: defaultdict[str, deque[str]] = defaultdict(deque)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        return [(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None: ...

    def queue_declare(self, queue: str, **_: Any) -> queue_declare_ok_t:
        """Done before every message: so without counting those that are there."""
        return queue_declare_ok_t(queue, 0, 0)

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{time.time_ns()}_{uuid.uuid4().hex}.msg"
        partial = self._taken() / name
        try:
            partial.write_text(json.dumps(payload))
            partial.rename(self._folder(queue) / name)
        except OSError:  # the disk is full
            partial.unlink(missing_ok=True)
            raise

    def _get(self, queue: str) -> Any:
        """The oldest message of the last listing, or of a new one when others took all of that."""
        for name in self._names(queue):
            taken = self._taken() / name
            with suppress(FileNotFoundError):  # another consumer was faster
                (self._folder(queue) / name).rename(taken)
                try:
                    return json.loads(taken.read_text())
                except ValueError:
                    log.warning("dropped an unreadable message: %s", name)
                finally:
                    taken.unlink(missing_ok=True)
        raise Empty

    def _names(self, queue: str) -> Iterator[str]:
        names = self._listed[queue]
        while names:
            yield names.popleft()
        names.extend(sorted(os.listdir(self._folder(queue))))  # noqa: PTH208  names, not paths
        while names:
            yield names.popleft()

    def _size(self, queue: str) -> int:
        return len(os.listdir(self._folder(queue)))  # noqa: PTH208

    def _purge(self, queue: str) -> int:
        messages = list(self._folder(queue).iterdir())
        for message in messages:
            message.unlink(missing_ok=True)
        return len(messages)

    def _folder(self, queue: str) -> Path:
        folder = Path(self.data_folder_in) / queue
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _taken(self) -> Path:
        folder = Path(self.processed_folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel
