"""Turns, over every order of events that hypothesis can think of, in memory and in SQL alike.

fair           whoever is served is one for whom the least runs, and of these the one served longest ago
nobody starves an owner for whom nothing runs waits while each other one is served once, and no longer
nothing idle   a worker finds nothing only where nothing waits that it is able to do
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.storage.records import Job, JobFilter, Page, Taker
from tests.support.both_stores import Both
from tests.support.records import a_job, an_upload

OWNERS = ("a", "b", "c")
ALL = Page(limit=1000)


class FairLaw(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.both = Both()
        self.now = 1000.0
        self.turn = dict.fromkeys(OWNERS, 0)
        self.turns = 0
        self.passed_over: dict[str, list[str]] = {owner: [] for owner in OWNERS}
        self.models = {
            owner: self.both.add_upload(an_upload(owner=owner, state="ready", id=f"mdl_{owner}"))[0]
            for owner in OWNERS
        }

    @rule(
        owner=st.sampled_from(OWNERS),
        priority=st.sampled_from([0, 0, 5]),
        needs=st.sampled_from([("cpu",), ("cpu",), ("cuda",)]),
    )
    def send(self, owner: str, priority: int, needs: tuple[str, ...]) -> None:
        self.now += 1.0
        made = a_job(
            self.models[owner],
            id=f"job_{owner}{self.now:.0f}",
            owner=owner,
            priority=priority,
            needs=needs,
            created_at=self.now,
        )
        self.both.add_job(made, None)

    @rule(able=st.sampled_from([("cpu",), ("cpu",), ("cuda",), ("cpu", "cuda")]))
    def take(self, able: tuple[str, ...]) -> None:
        waiting = [job for job in self.jobs("queued") if {*job.needs} <= {*able}]
        running = {owner: sum(job.owner == owner for job in self.jobs("running")) for owner in OWNERS}
        taken = self.both.claim_next(Taker(id="wrk_1", capabilities=frozenset(able)), self.now, 1e6)
        assert (taken is None) == (not waiting), "idle although something waits"
        if taken is None:
            return
        owners = {job.owner for job in waiting}
        assert taken.owner == min(owners, key=lambda name: (running[name], self.turn[name], name)), "unfair"
        mine = [job for job in waiting if job.owner == taken.owner]
        assert taken.id == min(mine, key=lambda job: (-job.priority, job.created_at)).id
        for owner in owners - {taken.owner}:
            if running[owner] == 0 and able == ("cpu", "cuda"):
                assert taken.owner not in self.passed_over[owner], "starves"
                self.passed_over[owner].append(taken.owner)
        self.passed_over[taken.owner] = []
        self.turns += 1
        self.turn[taken.owner] = self.turns

    @rule(n=st.integers(0, 5))
    def end(self, n: int) -> None:
        if running := self.jobs("running"):
            job = running[n % len(running)]
            assert self.both.finish(job.id, job.attempt, self.now, {"state": "succeeded"})

    @invariant()
    def positions_are_the_same_everywhere(self) -> None:
        queued = self.jobs("queued")
        positions = self.both.queue_positions([job.id for job in queued])
        for needs in {job.needs for job in queued}:
            places = sorted(positions[job.id] for job in queued if job.needs == needs)
            assert places == [*range(1, len(places) + 1)]
        if queued:
            assert self.both.queue_position(queued[0].id) == positions[queued[0].id]

    def jobs(self, state: str) -> list[Job]:
        return [job for owner in OWNERS for job in self.both.jobs(owner, JobFilter(state=state), ALL)]


FairLaw.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestFairLaw = FairLaw.TestCase
