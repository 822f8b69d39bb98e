"""The lease law, over every order of events that hypothesis can think of, in memory and in SQL alike.

never two holders    an attempt is given once, and an older one changes nothing
never finished twice one end per run
never lost           what has not ended can be claimed once the leases have run out
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from app.contract.job import FINISHED
from app.storage.engine import open_engine
from app.storage.ids import new_id
from app.storage.memory import MemoryRecords
from app.storage.migrate import migrate
from app.storage.ports import Conflict, Gone
from app.storage.records import Event, Job, JobFilter, Page, Upload
from app.storage.sql import SqlRecords
from tests.support.records import a_job, an_upload

LEASE = 30.0
ALL = Page(limit=1000)
OVER = FINISHED | {"ready", "rejected"}


class Both:
    """Does everything to both stores and demands the same answer of them."""

    def __init__(self, *stores: Any) -> None:
        self._stores = stores

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **kwargs: Any) -> Any:
            first, second = (_answer(store, name, args, kwargs) for store in self._stores)
            assert first == second, f"{name}{args}: {first} in memory, {second} in SQL"
            if isinstance(first, Exception):
                raise first
            return first

        return ask


def _answer(store: Any, name: str, args: Any, kwargs: Any) -> Any:
    try:
        return getattr(store, name)(*args, **kwargs)
    except (Conflict, Gone) as error:
        return _Raised(error)


class _Raised(Exception):
    """An exception that can be compared."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Raised) and repr(self.args) == repr(other.args)

    __hash__ = Exception.__hash__


class LeaseLaw(RuleBasedStateMachine):
    ids = Bundle("ids")
    tokens = Bundle("tokens")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="winnow-law-"))
        self.engine = open_engine(f"sqlite:///{self.folder / 'winnow.db'}")
        migrate(self.engine)
        self.both = Both(MemoryRecords(), SqlRecords(self.engine))
        self.now = 1000.0
        self.model, _ = self.both.add_upload(an_upload(state="ready"))
        self.given: dict[str, list[int]] = {}
        self.over: dict[str, Job | Upload] = {}
        self.added = 0

    # what clients do

    @rule(target=ids, attempts=st.integers(1, 3))
    def add_job(self, attempts: int) -> str:
        job = a_job(self.model, id=new_id("job"), created_at=self.now, max_attempts=attempts)
        return str(self.both.add_job(job, None)[0].id)

    @rule(target=ids, attempts=st.integers(1, 3))
    def add_upload(self, attempts: int) -> str:
        self.added += 1
        made = an_upload(f"{self.added:064}", created_at=self.now, max_attempts=attempts)
        return str(self.both.add_upload(made)[0].id)

    @rule(id=ids)
    def cancel(self, id: str) -> None:
        try:
            self.both.cancel_job("local", id, self.now)
        except _Raised:
            assert self.find(id).state in ("succeeded", "failed")

    @rule(id=ids, more=st.integers(1, 2))
    def retry(self, id: str, more: int) -> None:
        try:
            if self.both.retry_job("local", id, self.now, more) is not None:
                self.over.pop(id)
        except _Raised:
            assert self.find(id).state not in ("failed", "cancelled")

    # what workers do, also late ones

    @rule(target=tokens, id=ids)
    def claim(self, id: str) -> tuple[str, int]:
        before = self.find(id)
        item = self.both.claim(id, self.now, LEASE)
        if item is None:
            return id, before.attempt
        assert before.lease_until is None or before.lease_until <= self.now, "taken from a holder"
        assert item.attempt not in self.given.get(id, []), "an attempt was given twice"
        self.given.setdefault(id, []).append(item.attempt)
        return id, int(item.attempt)

    @rule(token=tokens)
    def renew(self, token: tuple[str, int]) -> None:
        assert self.both.renew(*token, self.now, LEASE) == self.holds(token)

    @rule(token=tokens, progress=st.sampled_from([0.25, 0.5]))
    def report(self, token: tuple[str, int], progress: float) -> None:
        id, attempt = token
        before, holds = self.find(id), self.holds(token)
        event = Event(job=id, attempt=attempt, time=self.now, type="log", message="at work")
        told = self.both.report(id, attempt, step=None, progress=progress, seconds_left=3, events=[event])
        assert told == holds
        assert told or self.find(id) == before

    @rule(token=tokens, good=st.booleans())
    def finish(self, token: tuple[str, int], good: bool) -> None:
        id, attempt = token
        before, holds = self.find(id), self.holds(token)
        states = {True: ("succeeded", "ready"), False: ("failed", "rejected")}[good]
        ended = self.both.finish(id, attempt, self.now, {"state": states[isinstance(before, Upload)]})
        assert ended == (holds and not (good and before.cancel_requested))
        assert ended or self.find(id) == before

    @rule(token=tokens, blame=st.booleans())
    def give_back(self, token: tuple[str, int], blame: bool) -> None:
        before, holds = self.find(token[0]), self.holds(token)
        assert self.both.release(*token, self.now, blame) == holds
        assert holds or self.find(token[0]) == before

    @rule(token=tokens)
    def ask_whether_to_stop(self, token: tuple[str, int]) -> None:
        cancelled = self.find(token[0]).cancel_requested
        assert self.both.cancel_requested(*token) == (cancelled or not self.holds(token))

    # what time does

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reap(self) -> None:
        self.both.reap(self.now, self.now - 60.0)
        assert not [item for item in self.both.held() if item.lease_until <= self.now]

    # what always holds

    @invariant()
    def what_is_over_never_changes(self) -> None:
        for item in self.everything():
            if item.state in OVER:
                assert self.over.setdefault(item.id, item) == item, "ended twice, or changed after its end"
            else:
                assert item.id not in self.over, "came back from its end"

    @invariant()
    def it_shows_running_if_and_only_if_somebody_holds_it(self) -> None:
        held = {item.id for item in self.both.held()}
        shown = {job.id for job in self.jobs() if job.state in ("running", "cancelling")}
        assert {id for id in held if id.startswith("job_")} == shown

    @invariant()
    def events_end_in_the_state_the_job_is_in(self) -> None:
        for job in self.jobs():
            events = self.both.events(job.id, 0, 1000)
            assert [event.values["state"] for event in events if event.type == "state"][-1] == job.state

    def teardown(self) -> None:
        if not hasattr(self, "both"):
            return
        self.now += 1000.0
        waits = {wake.id for wake in self.both.reap(self.now, self.now)}
        for item in self.everything():
            assert (item.state in OVER) != (item.id in waits), "lost: not over, and nobody is told of it"
            assert (self.both.claim(item.id, self.now, LEASE) is not None) == (item.id in waits)
        self.engine.dispose()
        shutil.rmtree(self.folder)

    # what the test knows

    def jobs(self) -> list[Job]:
        return list(self.both.jobs("local", JobFilter(), ALL))

    def everything(self) -> list[Job | Upload]:
        return [*self.jobs(), *self.both.uploads("local", "model", ALL)]

    def find(self, id: str) -> Job | Upload:
        found = self.both.job("local", id) or self.both.upload("local", "model", id)
        assert found is not None
        return found  # type: ignore[no-any-return]

    def holds(self, token: tuple[str, int]) -> bool:
        """It was given this attempt, the last one, and has not lost it."""
        id, attempt = token
        item = self.find(id)
        return item.lease_until is not None and item.attempt == attempt


LeaseLaw.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestLeaseLaw = LeaseLaw.TestCase
