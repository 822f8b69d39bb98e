"""A search as its records have it: the plan of its study, a trial as a job, what a trial came to."""

import time
from typing import Any

from app.storage.records import Job, Trial, Upload
from winnow.contract.forecast import forecast_steps
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import Recipe
from winnow.contract.search import Search, SearchReport, Space
from worker.search.choice import choose
from worker.search.plan import Plan, Refuse, refuse_nothing
from worker.search.report import sentences
from worker.search.rows import trials
from worker.search.shares import at_share


def plan_of(job: Job, model: Upload, refuse: Refuse = refuse_nothing) -> Plan:
    """The search that a job asks for, of a model that is ready. `refuse` where further recipes are to be tried."""
    request, facts = JobRequest.model_validate(job.request), ModelFacts.model_validate(model.facts)
    search = _search(request)
    return Plan(
        job=job.id,
        owner=job.owner,
        seed=request.seed,
        spaces=tuple(Space.model_validate(space) for space in job.spaces),
        objective=search.objective,
        budget=search.budget,
        require=request.require,
        size_bytes=model.size_bytes,
        macs=facts.macs,
        started_at=job.created_at if job.started_at is None else job.started_at,
        predict=lambda recipe: forecast_steps(recipe.steps, facts, {})[-1].size_bytes,
        refuse=refuse,
    )


def closed_job_of(job: Job, trial: Trial) -> ClosedJob:
    """A trial as a job of its own; of a final the recipe of its first candidate."""
    request = JobRequest.model_validate(job.request)
    recipe = Recipe.model_construct(steps=[]) if trial.recipe is None else Recipe.model_validate(trial.recipe)
    return request.closed(recipe if trial.share == 1 else at_share(recipe, trial.share))


def search_report(plan: Plan, rows: list[Trial]) -> SearchReport:
    """What a final has to say of the search before it; what it chooses is left open."""
    return SearchReport(
        objective=plan.objective,
        spaces=list(plan.spaces),
        trials=sum(row.state != "waiting" for row in trials(rows)),
        chosen=None,
        recipe=None,
        sentences=sentences(plan, rows, choose(plan, rows), time.time()),
    )


def end_of_job(final: dict[str, Any]) -> dict[str, Any]:
    """What a job becomes by its final, which these changes finish."""
    files = ("artifact_sha256", "artifact_bytes", "report_sha256", "page_sha256", "graph_sha256", "problem")
    result = final["result"]
    return {
        "state": "succeeded",
        "outcome": result["outcome"],
        "requirements": result["requirements"],
        **{name: final[name] for name in files},
    }


def _search(request: JobRequest) -> Search:
    assert request.search is not None, "only jobs that search have a study"
    return request.search
