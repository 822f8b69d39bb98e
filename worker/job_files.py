"""The files of what a job names: blobs as paths. What is no longer there is refused with what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.storage.ports import Records
from app.storage.records import Job, Trial, Upload, UploadKind
from winnow.contract.data_uses import DataUse
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from worker.blob_cache import Lent
from worker.child.spec import Rows

_BYTES_MISSING: Final = "The bytes of {} are missing from the store. Delete it, upload it again, then retry."


class JobFiles:
    """`lent` lends the blobs. Raises `Refusal` for what is gone, `StoreAway` where their server cannot be reached."""

    def __init__(self, records: Records, lent: Lent) -> None:
        self._records, self._lent = records, lent

    def result(self, job: Job, sha256: str) -> Path:
        with _missing(f"What {job.id} made is missing from the store."):
            return self._lent(sha256)

    def model(self, owner: str, id: str) -> Path:
        """ONNX that passed inspection: the upload, or what inspection made of it. Others are never opened again."""
        model = self.upload(owner, "model", id)
        if model.format not in ("onnx", "onnx_package") and model.converted is None:
            raise Refusal(
                "model_not_ready",
                f"The model {id} was never converted to ONNX. Delete it, upload it again, then send the job again.",
            )
        return self.blob(model, model.converted or model.sha256)

    def rows(self, job: Job, use: DataUse | None) -> Rows | None:
        if use is None:
            return None
        dataset = self.upload(job.owner, "dataset", use.dataset)
        return Rows(
            path=self.dataset(dataset),
            declaration=Declaration.model_validate(dataset.declaration),
            slice=use.slice,
            map=use.map,
        )

    def upload(self, owner: str, kind: UploadKind, id: str) -> Upload:
        upload = self._records.upload(owner, kind, id)
        if upload is None or upload.state != "ready":
            state = "deleted" if upload is None else upload.state
            code = "model_not_ready" if kind == "model" else "dataset_not_ready"
            raise Refusal(code, f"The {kind} {id} is {state}. Upload it again, then send the job again.")
        return upload

    def made(self, trial: Trial, sha256: str) -> Path:
        with _missing(f"What trial {trial.number} made is missing from the store. Send the job again."):
            return self._lent(sha256)

    def blob(self, upload: Upload, sha256: str) -> Path:
        with _missing(_BYTES_MISSING.format(upload.id)):
            return self._lent(sha256)

    def whole_dataset(self, dataset: Upload) -> Path:
        """All of its bytes, also of a large one."""
        with _missing(_BYTES_MISSING.format(dataset.id)):
            return self._lent.whole_dataset(dataset.sha256)

    def is_large(self, dataset: Upload) -> bool:
        return self._lent.is_large(dataset.sha256)

    def dataset(self, dataset: Upload) -> Path:
        """A file, or of a large one a folder, of which ranges are fetched."""
        with _missing(_BYTES_MISSING.format(dataset.id)):
            return self._lent.dataset(dataset.sha256, dataset.format, dataset.converted)


@contextmanager
def _missing(detail: str) -> Iterator[None]:
    """Say what is not in the store, and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise Refusal("storage_unavailable", detail) from error
