"""The law of searches, over every order of events that hypothesis can think of, in memory and in SQL alike.

never lost        while a job that searches is not over, a study that is due or a trial waits, or somebody is at work
told once         the end of a trial, a cancel and a retry are each news, once; nothing else is
never outlived    when the job is over its study is closed, and no trial waits
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.storage.ids import study_of
from app.storage.records import Decision, Job, Study, Trial
from app.storage.rules import TRIED
from tests.support.both_stores import Both, Raised
from tests.support.records import a_job, a_trial, an_upload
from winnow.contract.job import FINISHED

LEASE = 30.0
JOB = "job_a"
STUDY = study_of(JOB)
N = st.integers(0, 5)
LATE = st.sampled_from([0, 0, 0, 1])


def a_turn_is_at_work(machine: "SearchLaw") -> bool:
    return machine.read is not None


def a_trial_runs(machine: "SearchLaw") -> bool:
    return machine.pick(0, "running") is not None


def is_over(machine: "SearchLaw") -> bool:
    return machine.job().state in FINISHED


class SearchLaw(RuleBasedStateMachine):
    """One search, its workers and its user. The study's decisions are any that a sane one could come to."""

    @initialize(attempts=st.integers(1, 3))
    def open(self, attempts: int) -> None:
        self.both, self.now, self.attempts = Both(), 1000.0, attempts
        self.news = 0
        self.read: tuple[int, int] | None = None
        model, _ = self.both.add_upload(an_upload(state="ready"))
        self.both.add_job(a_job(model, id=JOB, max_attempts=attempts, searches=True), None)

    # what the user does

    @rule()
    def cancel(self) -> None:
        before = self.job()
        try:
            self.both.cancel_job("local", JOB, self.now)
        except Raised:
            assert before.state in ("succeeded", "failed")
        else:
            self.news += before.state == "running"

    @precondition(is_over)
    @rule()
    def retry(self) -> None:
        try:
            self.both.retry_job("local", JOB, self.now, self.attempts)
        except Raised:
            assert self.job().state not in ("failed", "cancelled")
        else:
            self.news += 1

    # what the study does

    @precondition(lambda machine: machine.study().state == "due")
    @rule()
    def take_study(self) -> None:
        study = self.both.claim(STUDY, self.now, LEASE)
        if study is not None:
            self.read = study.attempt, study.news
            assert self.job().state in ("running", "cancelling")

    @precondition(a_turn_is_at_work)
    @rule(
        end=st.sampled_from([*[None] * 8, "succeeded", "failed"]),
        n=N,
        state=st.sampled_from(["stopped_early", "waiting"]),
    )
    def settle(self, end: str | None, n: int, state: str) -> None:
        assert self.read is not None
        (attempt, news), self.read = self.read, None
        before = self.study()
        job, trials = self.job(), self.trials()
        over = end or ("cancelled" if job.cancel_requested and not self.at_work() else None)
        decision: dict[str, Any] = {"job": {"progress": 0.5}}
        if job.cancel_requested:
            decision = {"job": {"state": "cancelled"}} if over else {}
        elif over:
            decision = {"job": {"state": over}}
        else:
            decision["add"] = [a_trial(job, len(trials), max_attempts=self.attempts)]
        if trials and not job.cancel_requested:
            decision["change"] = {trials[n % len(trials)].id: {"state": state, "rung": 1}}
        settled = self.both.settle(STUDY, attempt, self.now, news, Decision(**decision), self.attempts)
        holds = before.attempt == attempt and before.lease_until is not None
        assert settled == (holds and before.news == news)
        if not settled:
            assert (self.job(), self.trials()) == (job, trials), "decided on what is no longer so"
            assert not holds or (self.study().state, self.study().lease_until) == ("due", None)

    @precondition(a_turn_is_at_work)
    @rule(blame=st.booleans())
    def drop_study(self, blame: bool) -> None:
        assert self.read is not None
        self.both.release(STUDY, self.read[0], self.now, blame)
        self.read = None

    # what the workers do

    @rule(n=N)
    def take_trial(self, n: int) -> None:
        if trial := self.pick(n, "waiting") or self.pick(n):
            self.both.claim(trial.id, self.now, LEASE, "worker")

    @precondition(a_trial_runs)
    @rule(n=N, late=LATE, state=st.sampled_from(sorted(TRIED)))
    def finish(self, n: int, late: int, state: str) -> None:
        if trial := self.pick(n, "running"):
            ended = self.both.finish(trial.id, trial.attempt - late, self.now, {"state": state})
            assert ended == (late == 0 and trial.lease_until is not None)
            self.told(ended)

    @precondition(a_trial_runs)
    @rule(n=N, end=st.sampled_from(["succeeded", "failed"]))
    def finish_with_job(self, n: int, end: str) -> None:
        if trial := self.pick(n, "running"):
            before = self.job()
            ended = self.both.finish(trial.id, trial.attempt, self.now, {"state": "finished"}, {"state": end})
            refused = before.state in FINISHED or (end == "succeeded" and trial.cancel_requested)
            assert ended == (not refused)
            assert ended or self.job() == before

    @precondition(a_trial_runs)
    @rule(n=N, blame=st.booleans())
    def give_back(self, n: int, blame: bool) -> None:
        if trial := self.pick(n, "running"):
            self.both.release(trial.id, trial.attempt, self.now, blame)
            self.told(self.both.trial(JOB, trial.number).state in TRIED)

    @precondition(a_trial_runs)
    @rule(n=N)
    def renew(self, n: int) -> None:
        if trial := self.pick(n, "running"):
            assert self.both.renew(trial.id, trial.attempt, self.now, LEASE)

    # what time does

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reap(self) -> None:
        lost = {
            trial.number for trial in self.trials() if trial.lease_until and trial.lease_until <= self.now
        }
        study_fails = self.study().lease_until is not None and self.study().lease_until <= self.now
        released = {wake.id for wake in self.both.reap(self.now, 15.0).released}
        given_up = sum(trial.number in lost and trial.state in TRIED for trial in self.trials())
        self.told(given_up)
        waits = {trial.id for trial in self.trials() if trial.number in lost and trial.state == "waiting"}
        due = self.study().state == "due" and not self.study().lease_until and (given_up > 0 or study_fails)
        assert released == waits | ({STUDY} if due else set())

    # what always holds

    @invariant()
    def news_is_told_once(self) -> None:
        assert self.study().news == self.news

    @invariant()
    def a_study_is_closed_when_its_job_is_over(self) -> None:
        study, job = self.study(), self.job()
        assert (study.state == "closed") == (job.state in FINISHED)
        assert (job.state in FINISHED) == (job.finished_at is not None)
        if study.state == "closed":
            assert study.lease_until is None
            assert all(trial.state in TRIED or trial.cancel_requested for trial in self.trials())

    @invariant()
    def a_trial_runs_if_and_only_if_somebody_holds_it(self) -> None:
        for trial in self.trials():
            assert (trial.state == "running") == (trial.lease_until is not None)

    @invariant()
    def nothing_is_lost(self) -> None:
        if self.job().state not in FINISHED:
            study = self.study()
            unfinished = any(trial.state not in TRIED for trial in self.trials())
            assert study.state == "due" or study.lease_until or unfinished

    @invariant()
    def what_waits_is_what_can_be_had(self) -> None:
        waits = {wake.id for wake in self.both.republish("cpu", 1000, self.now, self.now)}
        trials = {trial.id for trial in self.trials() if trial.state == "waiting"}
        study = self.study()
        due = {STUDY} if study.state == "due" and study.lease_until is None else set()
        assert waits == trials | due

    @invariant()
    def events_end_in_the_state_the_job_is_in(self) -> None:
        events = self.both.events(JOB, 0, 1000)
        assert [event.values["state"] for event in events if event.type == "state"][-1] == self.job().state

    # what the test knows

    def job(self) -> Job:
        return self.both.job("local", JOB)  # type: ignore[no-any-return]

    def study(self) -> Study:
        return self.both.study(JOB)  # type: ignore[no-any-return]

    def trials(self) -> list[Trial]:
        return self.both.trial_rows(JOB)  # type: ignore[no-any-return]

    def at_work(self) -> bool:
        return any(trial.lease_until is not None for trial in self.trials())

    def pick(self, n: int, state: str | None = None) -> Trial | None:
        trials = [trial for trial in self.trials() if state in (None, trial.state)]
        return trials[n % len(trials)] if trials else None

    def told(self, ends: int) -> None:
        """A study that is closed hears nothing any more."""
        if self.study().state != "closed":
            self.news += ends


SearchLaw.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
TestSearchLaw = SearchLaw.TestCase
