"""The port `Checkpoints` in memory."""

from app.storage.memory_base import MemoryStore
from app.storage.records import Checkpoint


class MemoryCheckpoints(MemoryStore):
    def keep_checkpoint(self, attempt: int, checkpoint: Checkpoint) -> bool:
        with self._lock:
            if self._held(checkpoint.item, attempt) is None:
                return False
            if checkpoint.slot == "finished":
                self._checkpoints.pop((checkpoint.item, "unfinished"), None)
            self._checkpoints[checkpoint.item, checkpoint.slot] = checkpoint
            return True

    def checkpoints(self, item: str) -> list[Checkpoint]:
        with self._lock:
            return [self._checkpoints[place] for place in sorted(self._checkpoints) if place[0] == item]
