"""Turn a claimed record into a task for the child: records and blobs in, paths and numbers out.

Raises `Refusal` when what the job names is no longer there.
"""

from pathlib import Path
from typing import Any, assert_never

from app.settings import Settings
from app.storage.ports import Blobs, Records
from app.storage.records import Inquiry, Item, Job, Upload, UploadKind
from winnow.contract.data_uses import DataUse
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.job import JobRequest
from winnow.contract.model import TensorSpec
from winnow.contract.needed_data import measured
from winnow.contract.other_models import named_models
from worker.child.spec import Compress, InspectDataset, InspectModel, Limits, Propose, Rows, ShowPreview, Work

CODE_BYTES = 8 * 2**30
"""Address space that torch and ONNX Runtime take without using it."""


class JobInput:
    def __init__(self, settings: Settings, records: Records, blobs: Blobs) -> None:
        self._settings, self._records, self._blobs = settings, records, blobs

    def task(self, item: Item, folder: Path) -> Work:
        match item:
            case Job():
                return self._compress(item, JobRequest.model_validate(item.request), folder)
            case Inquiry():
                return self._inquiry(item, folder)
            case Upload(kind="model"):
                return self._inspect_model(item, folder)
            case Upload():
                return self._inspect_dataset(item, folder)
            case _:
                assert_never(item)

    def limits(self, item: Item) -> Limits:
        mapped = self._settings.max_unpacked_bytes + CODE_BYTES
        if isinstance(item, Job):
            requested = JobRequest.model_validate(item.request).limits
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
                "path": self._blob(model, model.sha256),
                "format": model.format,
                "declared": [TensorSpec.model_validate(spec) for spec in model.declaration.get("inputs", [])],
                "scratch": folder,
                "allow_torchscript": self._settings.allow_torchscript,
                "max_unpacked_bytes": self._settings.max_unpacked_bytes,
            }
        )

    def _inspect_dataset(self, dataset: Upload, folder: Path) -> InspectDataset:
        return InspectDataset(
            kind="inspect_dataset",
            path=self._blob(dataset, dataset.sha256),
            declaration=Declaration.model_validate(dataset.declaration),
            scratch=folder,
            max_unpacked_bytes=self._settings.max_unpacked_bytes,
        )

    def _inquiry(self, inquiry: Inquiry, folder: Path) -> Propose | ShowPreview:
        """A dataset that was rejected may be asked about: its declaration may be all that is wrong."""
        dataset = self._records.upload(inquiry.owner, "dataset", inquiry.dataset)
        if dataset is None:
            raise Refusal("dataset_not_ready", f"The dataset {inquiry.dataset} is deleted. Upload it again.")
        task: dict[str, Any] = {
            "kind": inquiry.kind,
            "path": self._blob(dataset, dataset.sha256),
            "model": self._model(inquiry.owner, inquiry.model),
            "out_dir": folder,
            "max_unpacked_bytes": self._settings.max_unpacked_bytes,
        }
        match inquiry.kind:
            case "propose":
                return Propose.model_validate(task)
            case "preview":
                question = {name: inquiry.question[name] for name in ("declaration", "rows")}
                return ShowPreview.model_validate({**task, **question})
            case _:
                assert_never(inquiry.kind)

    def _compress(self, job: Job, request: JobRequest, folder: Path) -> Compress:
        return Compress(
            kind="compress",
            model=self._model(job.owner, request.model),
            models={id: self._model(job.owner, id) for id in named_models(request)},
            recipe=request.recipe,
            calibration=self._rows(job, request.data.calibration),
            training=self._rows(job, request.data.training),
            evaluation_data=self._rows(job, request.data.evaluation),
            whole=self._rows(job, request.data.whole),
            out_dir=folder,
            evaluation=measured(request),
            require=request.require,
            benchmark=request.benchmark,
            target=request.target,
            seed=request.seed,
            max_unpacked_bytes=self._settings.max_unpacked_bytes,
        )

    def _model(self, owner: str, id: str) -> Path:
        """ONNX that passed inspection: the upload, or what inspection made of it. Others are never opened again."""
        model = self._upload(owner, "model", id)
        if model.format != "onnx" and model.converted is None:
            raise Refusal(
                "model_not_ready",
                f"The model {id} was never converted to ONNX. Delete it, upload it again, then send the job again.",
            )
        return self._blob(model, model.converted or model.sha256)

    def _rows(self, job: Job, use: DataUse | None) -> Rows | None:
        if use is None:
            return None
        dataset = self._upload(job.owner, "dataset", use.dataset)
        return Rows(
            path=self._blob(dataset, dataset.sha256),
            declaration=Declaration.model_validate(dataset.declaration),
            slice=use.slice,
            map=use.map,
        )

    def _upload(self, owner: str, kind: UploadKind, id: str) -> Upload:
        upload = self._records.upload(owner, kind, id)
        if upload is None or upload.state != "ready":
            state = "deleted" if upload is None else upload.state
            code = "model_not_ready" if kind == "model" else "dataset_not_ready"
            raise Refusal(code, f"The {kind} {id} is {state}. Upload it again, then send the job again.")
        return upload

    def _blob(self, upload: Upload, sha256: str) -> Path:
        try:
            return self._blobs.path(sha256)
        except FileNotFoundError as error:
            raise Refusal(
                "storage_unavailable",
                f"The bytes of {upload.id} are missing from the store. Delete it, upload it again, then retry.",
            ) from error
