"""Turn a claimed record into a task for the child: records and blobs in, paths and numbers out.

Raises `Refusal` when what the job names is no longer there.
"""

from pathlib import Path
from typing import Any, assert_never

from app.settings import Settings
from app.storage.ports import Records
from app.storage.records import Inquiry, Item, Job, Study, Trial, Upload
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.model import TensorSpec
from winnow.contract.needed_data import measured
from winnow.contract.other_models import named_models
from winnow.contract.recipe import Recipe
from winnow.contract.search import Objective
from winnow.contract.student_request import student_step
from winnow.contract.target import checked_by_rules, measured_on
from worker.blob_cache import Lent
from worker.child.spec import (
    Compress,
    InspectDataset,
    InspectModel,
    Judged,
    JudgeFinal,
    Limits,
    MakeStudent,
    Propose,
    RenderPage,
    ShowPreview,
    Tried,
    Work,
)
from worker.closed_request import closed_request, done_request, read_stored
from worker.compression.measure.extent import WHOLE, Extent, Judging
from worker.compression.names import Names
from worker.job_files import JobFiles
from worker.search.measured import chance, cost
from worker.search_records import closed_job_of, plan_of, search_report

CODE_BYTES = 8 * 2**30
"""Address space that torch and ONNX Runtime take without using it."""


class JobInput:
    """`files` lends the blobs. Raises `StoreAway` where their server cannot be reached."""

    def __init__(self, settings: Settings, records: Records, files: Lent) -> None:
        self._settings, self._records = settings, records
        self._files = JobFiles(records, files)

    def task(self, item: Item, folder: Path) -> Work:
        match item:
            case Job():
                return self._compress(item, closed_request(item), folder)
            case Trial(role="final"):
                return self._final(item, folder)
            case Trial():
                return self._trial(item, folder)
            case Inquiry():
                return self._inquiry(item, folder)
            case Upload(kind="model") if item.parent is not None:
                return self._make_student(item, folder)
            case Upload(kind="model"):
                return self._inspect_model(item, folder)
            case Upload():
                return self._inspect_dataset(item, folder)
            case Study():
                raise AssertionError(f"{item.id}: a study has turns, and no child")
            case _:
                assert_never(item)

    def limits(self, item: Item) -> Limits:
        mapped = self._settings.max_unpacked_bytes + CODE_BYTES
        if isinstance(item, Job | Trial):
            job = item if isinstance(item, Job) else self._job(item)
            requested = JobRequest.model_validate(job.request).limits
            return Limits(
                seconds=min(requested.seconds, self._settings.max_job_seconds),
                memory_bytes=min(
                    requested.memory_bytes, self._settings.max_job_memory_bytes or requested.memory_bytes
                ),
                mapped_bytes=mapped,
            )
        return Limits(
            seconds=self._settings.inspect_seconds,
            memory_bytes=self._settings.inspect_memory_bytes,
            mapped_bytes=mapped,
        )

    def _inspect_model(self, model: Upload, folder: Path) -> InspectModel:
        return InspectModel.model_validate(
            {
                "kind": "inspect_model",
                "path": self._files.blob(model, model.sha256),
                "format": model.format,
                "declared": [TensorSpec.model_validate(spec) for spec in model.declaration.get("inputs", [])],
                "scratch": folder,
                "allow_torchscript": self._settings.allow_torchscript,
                "max_unpacked_bytes": self._settings.max_unpacked_bytes,
            }
        )

    def _make_student(self, student: Upload, folder: Path) -> MakeStudent:
        return MakeStudent(
            kind="make_student",
            path=self._files.blob(student, student.sha256),
            settings=student_step(student.declaration["student"]),
            seed=student.declaration["seed"],
            scratch=folder,
            max_unpacked_bytes=self._settings.max_unpacked_bytes,
        )

    def _inspect_dataset(self, dataset: Upload, folder: Path) -> InspectDataset:
        path = self._files.whole_dataset(dataset)
        return InspectDataset(
            kind="inspect_dataset",
            path=path,
            declaration=Declaration.model_validate(dataset.declaration),
            scratch=folder,
            max_unpacked_bytes=self._settings.max_unpacked_bytes,
            indexes=self._files.is_large(dataset),
        )

    def _inquiry(self, inquiry: Inquiry, folder: Path) -> Propose | ShowPreview | RenderPage:
        """A dataset that was rejected may be asked about: its declaration may be all that is wrong."""
        if inquiry.job is not None:
            return self._page(inquiry, inquiry.job, folder)
        assert inquiry.model is not None, "only pages are about no model"
        assert inquiry.dataset is not None, "only pages are about no dataset"
        dataset = self._records.upload(inquiry.owner, "dataset", inquiry.dataset)
        if dataset is None:
            raise Refusal("dataset_not_ready", f"The dataset {inquiry.dataset} is deleted. Upload it again.")
        task: dict[str, Any] = {
            "kind": inquiry.kind,
            "path": self._files.blob(dataset, dataset.sha256),
            "model": self._files.model(inquiry.owner, inquiry.model),
            "out_dir": folder,
            "max_unpacked_bytes": self._settings.max_unpacked_bytes,
        }
        match inquiry.kind:
            case "propose":
                return Propose.model_validate(task)
            case "preview":
                question = {name: inquiry.question[name] for name in ("declaration", "rows")}
                return ShowPreview.model_validate({**task, **question})
            case "page":
                raise AssertionError("a page is about a job")
            case _:
                assert_never(inquiry.kind)

    def _page(self, inquiry: Inquiry, id: str, folder: Path) -> RenderPage:
        """With all that the job was given, or with none of it where some is gone. What both models look at is measured
        at the first attempt alone: it may be what ended that."""
        job = self._records.job(inquiry.owner, id)
        if job is None or job.report_sha256 is None or job.artifact_sha256 is None:
            raise Refusal("no_artifact", f"The job {id} has no report any more.")
        report = self._files.result(job, job.report_sha256)
        closed = done_request(job, read_stored(report, id))
        explains = closed.explain and inquiry.attempt == 1
        try:
            fields = self._judged(job, closed, folder, "final" if job.searches else "result")
        except Refusal:
            fields = None
        return RenderPage(
            kind="render_page",
            report=report,
            artifact=self._files.result(job, job.artifact_sha256),
            out_dir=folder,
            recipe=closed.recipe if closed.recipe.steps else None,
            judged=None
            if fields is None
            else Judged.model_validate(fields | {"request": None, "explain": explains}),
            names=self._names(job),
        )

    def _names(self, job: Job) -> Names:
        model = self._records.upload(job.owner, "model", job.model)
        return Names("" if model is None else model.name, job.request.get("name") or "")

    def _job(self, trial: Trial) -> Job:
        job = self._records.job(trial.owner, trial.job)
        if job is None:
            raise Refusal("not_found", f"The job {trial.job} is deleted.")
        return job

    def _trial(self, trial: Trial, folder: Path) -> Compress:
        """Judged on the selection part, as far as the search's choice needs it."""
        job = self._job(trial)
        plan = plan_of(job, self._files.upload(job.owner, "model", job.model))
        weighs = plan.objective == "memory" or plan.require.max_memory_bytes is not None
        extent = Extent(brief=True, times=plan.asks_for_time, weighs=weighs)
        return self._compress(job, closed_job_of(job, trial), folder, "trial", extent)

    def _final(self, final: Trial, folder: Path) -> JudgeFinal:
        job, rows = self._job(final), self._records.trial_rows(final.job)
        plan = plan_of(job, self._files.upload(job.owner, "model", job.model))
        chosen = {row.number: row for row in rows if row.number in final.candidates}
        closed = closed_job_of(job, final)
        fields = self._judged(job, closed, folder, "final")
        return JudgeFinal(
            **fields | {"request": closed if closed.recipe.steps else None},
            kind="judge_final",
            tried=[self._tried(chosen[number], plan.objective) for number in final.candidates],
            search=search_report(plan, rows),
        )

    def _tried(self, trial: Trial, objective: Objective) -> Tried:
        assert trial.artifact_sha256 is not None, "only finished trials are candidates"
        assert trial.report_sha256 is not None, "what has an artifact has a report"
        return Tried(
            number=trial.number,
            artifact=self._files.made(trial, trial.artifact_sha256),
            report=self._files.made(trial, trial.report_sha256),
            recipe=Recipe.model_validate(trial.recipe),
            chance=chance(trial.result or {}),
            cost=cost(trial.result or {}, objective),
        )

    def _compress(
        self,
        job: Job,
        request: ClosedJob,
        folder: Path,
        judging: Judging = "result",
        extent: Extent = WHOLE,
    ) -> Compress:
        fields = self._judged(job, request, folder, judging, extent)
        return Compress(**fields, kind="compress", recipe=request.recipe)

    def _judged(
        self, job: Job, request: ClosedJob, folder: Path, judging: Judging, extent: Extent = WHOLE
    ) -> dict[str, Any]:
        """The fields of `Judged`."""
        return {
            "model": self._files.model(job.owner, request.model),
            "models": {id: self._files.model(job.owner, id) for id in named_models(request.recipe)},
            "calibration": self._files.rows(job, request.data.calibration),
            "training": self._files.rows(job, request.data.training),
            "evaluation_data": self._files.rows(job, request.data.evaluation),
            "whole": self._files.rows(job, request.data.whole),
            "out_dir": folder,
            "evaluation": measured(request),
            "require": request.require,
            "benchmark": request.benchmark,
            "target": measured_on(request.target, request.precision),
            "checked": checked_by_rules(request.target),
            "features": request.target_features,
            "seed": request.seed,
            "max_unpacked_bytes": self._settings.max_unpacked_bytes,
            "judging": judging,
            "extent": extent,
            "request": request,
            "explain": request.explain,
            "generate": request.generate,
            "names": self._names(job),
        }
