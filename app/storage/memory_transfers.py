"""The port `Transfers` in memory."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from app.storage.memory_base import MemoryStore
from app.storage.ports import TooMany
from app.storage.records import MAX_TRANSFERS, Transfer


class MemoryTransfers(MemoryStore):
    def add_transfer(self, transfer: Transfer) -> None:
        with self._lock:
            mine = [one for one in self._transfers.values() if one.owner == transfer.owner]
            if sum(_is_open(one, transfer.created_at) for one in mine) >= MAX_TRANSFERS:
                raise TooMany(f"{transfer.owner} has {MAX_TRANSFERS} open uploads")
            self._transfers[transfer.id] = deepcopy(transfer)

    def transfer(self, owner: str, id: str, now: float) -> Transfer | None:
        with self._lock:
            known = self._transfers.get(id)
            mine = known is not None and known.owner == owner and known.expires_at > now
            return deepcopy(known) if mine else None

    def extend_transfer(self, id: str, expires_at: float) -> bool:
        with self._lock:
            if id not in self._transfers:
                return False
            self._transfers[id] = replace(self._transfers[id], expires_at=expires_at)
            return True

    def settle_transfer(self, id: str, upload: str | None, problem: dict[str, Any] | None) -> None:
        with self._lock:
            known = self._transfers.get(id)
            if known is not None and known.upload is None and known.problem is None:
                self._transfers[id] = replace(known, upload=upload, problem=deepcopy(problem))

    def delete_transfer(self, owner: str, id: str) -> bool:
        with self._lock:
            known = self._transfers.get(id)
            if known is None or known.owner != owner:
                return False
            del self._transfers[id]
            return True

    def forget_transfers(self, now: float) -> int:
        with self._lock:
            expired = [one.id for one in self._transfers.values() if one.expires_at <= now]
            for id in expired:
                del self._transfers[id]
            return len(expired)


def _is_open(transfer: Transfer, now: float) -> bool:
    return transfer.upload is None and transfer.problem is None and transfer.expires_at > now
