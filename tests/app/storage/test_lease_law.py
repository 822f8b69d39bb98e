"""The lease law, over every order of events that hypothesis can think of, in memory and in SQL alike.

never two holders    an attempt is given once, and an older one changes nothing
never finished twice one end per run
never lost           what has not ended can be claimed once the leases have run out
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.storage.records import Event, Job, JobFilter, Page, Queue, Taker, Upload
from tests.support.both_stores import Both, Raised
from tests.support.records import a_job, an_upload
from winnow.contract.job import FINISHED

LEASE = 30.0
ALL = Page(limit=1000)
OVER = FINISHED | {"ready", "rejected"}


ITEMS = st.sampled_from(["job_a", "job_b", "mdl_c"])
N = st.integers(0, 2)
LATE = st.sampled_from([0, 0, 0, 1])
"""How many attempts ago the worker got its claim: mostly it is the last one."""


def somebody_works(machine: "LeaseLaw") -> bool:
    return bool(machine.both.held())


class LeaseLaw(RuleBasedStateMachine):
    """Few items, so that what happens to one happens in many orders."""

    @initialize(attempts=st.integers(1, 4))
    def open(self, attempts: int) -> None:
        self.both = Both()
        self.now = 1000.0
        self.given: set[tuple[str, int]] = set()
        self.over: dict[str, Job | Upload] = {}
        model, _ = self.both.add_upload(an_upload(state="ready"))
        self.both.add_upload(an_upload("c" * 64, id="mdl_c", max_attempts=attempts))
        for id in ("job_a", "job_b"):
            self.both.add_job(a_job(model, id=id, max_attempts=attempts), None)

    # what clients do

    @rule(n=N)
    def cancel(self, n: int) -> None:
        id, _ = self.picked(n)
        try:
            self.both.cancel_job("local", id, self.now)
        except Raised:
            assert self.find(id).state in ("succeeded", "failed")

    @rule(id=ITEMS, more=st.integers(1, 2))
    def retry(self, id: str, more: int) -> None:
        try:
            if self.both.retry_job("local", id, self.now, more) is not None:
                del self.over[id]
        except Raised:
            assert self.find(id).state not in ("failed", "cancelled")

    # what workers do, also late ones

    @rule(id=ITEMS)
    def claim(self, id: str) -> None:
        before = self.find(id)
        item = self.both.claim(id, self.now, LEASE)
        if item is not None:
            assert before.lease_until is None or before.lease_until <= self.now, "taken from a holder"
            assert (id, item.attempt) not in self.given, "an attempt was given twice"
            self.given.add((id, item.attempt))

    @rule(able=st.sampled_from([("cpu",), ("inspect",), ("cpu", "inspect")]))
    def claim_what_comes_first(self, able: tuple[str, ...]) -> None:
        taker = Taker(id="wrk_1", capabilities=frozenset(able))
        item = self.both.claim_next(taker, self.now, LEASE)
        if item is not None:
            assert (item.id, item.attempt) not in self.given, "an attempt was given twice"
            assert ("inspect" if item.id == "mdl_c" else "cpu") in able
            self.given.add((item.id, item.attempt))

    @rule(n=N, late=LATE)
    def renew(self, n: int, late: int) -> None:
        id, before = self.picked(n)
        assert self.both.renew(id, before.attempt - late, self.now, LEASE) == holds(before, late)

    @precondition(somebody_works)
    @rule(n=N, late=LATE, progress=st.sampled_from([0.25, 0.5]))
    def report(self, n: int, late: int, progress: float) -> None:
        id, before = self.picked(n)
        said = Event(job=id, attempt=0, time=self.now, type="log", message="at work")
        told = self.both.report(
            id, before.attempt - late, step=None, progress=progress, seconds_left=3, events=[said]
        )
        assert told == holds(before, late)
        assert told or self.find(id) == before

    @precondition(somebody_works)
    @rule(n=N, late=LATE, good=st.sampled_from([True, True, False]))
    def finish(self, n: int, late: int, good: bool) -> None:
        id, before = self.picked(n)
        of_job, of_upload = ("succeeded", "ready") if good else ("failed", "rejected")
        changes = {"state": of_job if isinstance(before, Job) else of_upload}
        ended = self.both.finish(id, before.attempt - late, self.now, changes)
        assert ended == (holds(before, late) and not (good and before.cancel_requested))
        assert ended or self.find(id) == before

    @precondition(somebody_works)
    @rule(n=N, late=LATE, blame=st.booleans())
    def restore_float_types(self, n: int, late: int, blame: bool) -> None:
        id, before = self.picked(n)
        assert self.both.release(id, before.attempt - late, self.now, blame) == holds(before, late)
        assert holds(before, late) or self.find(id) == before

    @rule(n=N, late=LATE)
    def ask_whether_to_stop(self, n: int, late: int) -> None:
        id, item = self.picked(n)
        asked = self.both.cancel_requested(id, item.attempt - late)
        assert asked == (item.cancel_requested or not holds(item, late))

    # what time does

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reap(self) -> None:
        self.both.reap(self.now, 15.0)
        assert not [item for item in self.both.held() if item.lease_until <= self.now]

    @rule(
        queue=st.sampled_from(["inspect", "cpu"]), count=st.integers(1, 2), ago=st.sampled_from([0.0, 60.0])
    )
    def publish_again(self, queue: Queue, count: int, ago: float) -> None:
        wakes = self.both.republish(queue, count, self.now, self.now - ago)
        assert len(wakes) <= count
        assert not any(self.find(wake.id).lease_until or self.find(wake.id).state in OVER for wake in wakes)

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
        reaped = self.both.reap(self.now, 15.0)
        waits = {
            w.id for queue in ("inspect", "cpu") for w in self.both.republish(queue, 1000, self.now, self.now)
        }
        assert sum(reaped.waiting.values()) == len(waits)
        for item in self.everything():
            assert (item.state in OVER) != (item.id in waits), "lost: not over, and nobody is told of it"
            assert (self.both.claim(item.id, self.now, LEASE) is not None) == (item.id in waits)

    # what the test knows

    def jobs(self) -> list[Job]:
        return list(self.both.jobs("local", JobFilter(), ALL))

    def everything(self) -> list[Job | Upload]:
        return [*self.jobs(), *self.both.uploads("local", "model", ALL)]

    def picked(self, n: int) -> tuple[str, Job | Upload]:
        """One that is held, if there is any: what nobody holds is soon told."""
        choice = self.both.held() or self.everything()
        id = choice[n % len(choice)].id
        return id, self.find(id)

    def find(self, id: str) -> Job | Upload:
        found = self.both.job("local", id) or self.both.upload("local", "model", id)
        assert found is not None
        return found  # type: ignore[no-any-return]


def holds(item: Job | Upload, late: int) -> bool:
    """It is leased, and to the attempt that asks."""
    return item.lease_until is not None and late == 0


LeaseLaw.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestLeaseLaw = LeaseLaw.TestCase
