"""Celery's filesystem transport with messages that are whole or not there.

Kombu's own writes a message where a consumer may already read it half written, which ends that worker, and moves it
through /tmp, which may be another disk. Here it is written beside the queue and renamed in; taking it is a rename
too, so of two consumers one gets it. What cannot be read is dropped: the reaper publishes its job again.

    queue/waiting/<time>_<uuid>.<queue>.msg      queue/taken/…      queue/control/…
"""

import json
import logging
import time
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):  # type: ignore[misc]
    """One exchange per queue, of the same name: no routing tables on the disk that could be read half written."""

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        return [(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None: ...

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{time.time_ns()}_{uuid.uuid4().hex}.{queue}.msg"
        partial = Path(self.processed_folder) / name
        partial.write_text(json.dumps(payload))
        partial.rename(Path(self.data_folder_out) / name)

    def _get(self, queue: str) -> Any:
        for message in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            taken = Path(self.processed_folder) / message.name
            with suppress(FileNotFoundError):  # another consumer was faster
                message.rename(taken)
                try:
                    return json.loads(taken.read_text())
                except ValueError:
                    log.warning("dropped an unreadable message: %s", message.name)
                finally:
                    taken.unlink(missing_ok=True)
        raise Empty


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel
