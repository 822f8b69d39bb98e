"""The port `Studies` in memory."""

from collections import Counter
from collections.abc import Collection
from copy import deepcopy

from app.storage import rules, searches
from app.storage.memory_base import MemoryRows, MemoryStore
from app.storage.records import Decision, Study, Trial


class MemoryStudies(MemoryStore):
    def study(self, job: str) -> Study | None:
        with self._lock:
            return deepcopy(next((study for study in self._all(Study) if study.job == job), None))

    def trial(self, job: str, number: int) -> Trial | None:
        return next((trial for trial in self.trial_rows(job) if trial.number == number), None)

    def trial_rows(self, job: str) -> list[Trial]:
        with self._lock:
            return deepcopy(MemoryRows(self).trials(job))

    def trial_counts(self, jobs: Collection[str]) -> dict[str, dict[str, int]]:
        with self._lock:
            tried = [t for t in self._all(Trial) if t.job in jobs and t.role == "trial"]
        return {job: dict(Counter(t.state for t in tried if t.job == job)) for job in {t.job for t in tried}}

    def waiting_searches(self, jobs: Collection[str]) -> frozenset[str]:
        with self._lock:
            items: list[Study | Trial] = [*self._all(Study), *self._all(Trial)]
            return frozenset(item.job for item in items if item.job in jobs and rules.waiting(item))

    def settle(
        self, id: str, attempt: int, now: float, news: int, decision: Decision, more_attempts: int = 3
    ) -> bool:
        with self._lock:
            study = self._held(id, attempt)
            return isinstance(study, Study) and searches.settle(
                MemoryRows(self), study, now, news, decision, more_attempts
            )
