"""What jobs have made: reports and files, of a job and of the trials of a search; and jobs beside each other."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from winnow.client.bundle import fetch_bundle
from winnow.client.download import download
from winnow.client.errors import ServiceProblem
from winnow.client.files import OnProgress, is_package
from winnow.client.inquiring import fetch_answer
from winnow.client.parts.jobs import Jobs
from winnow.client.parts.part import path_of
from winnow.contract.comparison import Comparison
from winnow.contract.inquiry import Rendered
from winnow.contract.report import Report
from winnow.contract.trial import Trial, TrialState


class Results(Jobs):
    """What came of what was asked for."""

    def report(self, id: str, *, raw: bool = False) -> Report:
        """`raw`: with the time of each single run."""
        params = {"raw": "true"} if raw else None
        return self._transport.parsed(
            Report, self._transport.get(path_of("jobs", id, "report"), params=params)
        )

    def report_page(self, id: str) -> bytes:
        """The report as one HTML file; a worker makes it first where the job has none, which takes the scope `write`.

        Raises ServiceProblem `job_not_finished`, `no_artifact`, `step_failed`, `worker_lost`.
        """
        fetch = partial(self._transport.get, path_of("jobs", id, "report"), headers={"Accept": "text/html"})
        try:
            return fetch().content
        except ServiceProblem as problem:
            if problem.code != "no_artifact":
                raise
        asked = self._transport.request("POST", path_of("jobs", id, "report", "render"))
        fetch_answer(self._transport, asked, Rendered, self._patience)
        return fetch().content

    def download(
        self, id: str, path: str | Path, on_progress: OnProgress | None = None, *, compressed: bool = False
    ) -> Path:
        """The compressed ONNX, written to `path` (in it, as `<id>.onnx`, when it is a folder; of a package `<id>.zip`).

        A job that failed with `training_diverged` has its best weights so far to give. `compressed`: as zstd on
        the way; the file is the same.
        Raises DamagedTransfer, UnusableFile; ServiceProblem `job_not_finished` or `no_artifact`.
        """
        in_folder = Path(path).is_dir()
        file = self._fetch(id, "artifact", Path(path), f"{id}.onnx", on_progress, compressed)
        return file.replace(file.with_suffix(".zip")) if in_folder and is_package(file) else file

    def download_curves(self, id: str, path: str | Path, on_progress: OnProgress | None = None) -> Path:
        """The curves of all training steps as a zip, written to `path` (in it, as `<id>-curves.zip`, when it is a
        folder). Raises like `download`; `no_artifact` also when nothing was trained.
        """
        return self._fetch(id, "curves", Path(path), f"{id}-curves.zip", on_progress)

    def card(self, id: str) -> str:
        """The model card, in Markdown."""
        return self._transport.get(path_of("jobs", id, "card")).text

    def bom(self, id: str) -> str:
        """The bill of materials, CycloneDX in JSON."""
        return self._transport.get(path_of("jobs", id, "bom")).text

    def download_bundle(self, id: str, path: str | Path, on_progress: OnProgress | None = None) -> Path:
        """Artifact, report, page, card, bill of materials and recipe as a zip, written to `path` (in it, as
        `<id>-bundle.zip`, when it is a folder). Raises like `download`.
        """
        target = Path(path)
        target = target / f"{id}-bundle.zip" if target.is_dir() else target
        return fetch_bundle(self._transport, path_of("jobs", id, "bundle"), target, on_progress)

    def compare(self, ids: Sequence[str]) -> Comparison:
        """Finished jobs beside each other: from 2 to 20 of them."""
        return self._transport.parsed(
            Comparison, self._transport.get("/v1/compare", params={"jobs": ",".join(ids)})
        )

    def trials(
        self, id: str, *, state: TrialState | None = None, pareto: bool | None = None
    ) -> Iterator[Trial]:
        """By their number; every filter narrows. `pareto`: those that no other beats in size, latency and quality, or
        the others."""
        params = {name: value for name, value in (("state", state), ("pareto", pareto)) if value is not None}
        return self._transport.page(Trial, path_of("jobs", id, "trials"), params)

    def trial_report(self, id: str, number: int) -> Report:
        return self._transport.parsed(
            Report, self._transport.get(path_of("jobs", id, "trials", str(number), "report"))
        )

    def download_trial(
        self,
        id: str,
        number: int,
        path: str | Path,
        on_progress: OnProgress | None = None,
        *,
        compressed: bool = False,
    ) -> Path:
        """The ONNX of one trial, written to `path` (in it, as `<id>-<number>.onnx`, when it is a folder). Raises like
        `download`."""
        url, target = path_of("jobs", id, "trials", str(number), "artifact"), Path(path)
        made = next((trial.artifact for trial in self.trials(id) if trial.number == number), None)
        if made is None:
            with self._transport.stream(
                url
            ):  # its problem says why there is none, unless there is one by now
                return self.download_trial(id, number, path, on_progress, compressed=compressed)
        target = target / f"{id}-{number}.onnx" if target.is_dir() else target
        return download(
            self._transport, url, target, made.sha256, made.size_bytes, on_progress, compressed=compressed
        )

    def _fetch(
        self,
        id: str,
        what: Literal["artifact", "curves"],
        target: Path,
        name: str,
        on_progress: OnProgress | None,
        compressed: bool = False,
    ) -> Path:
        job, url = self.job(id), path_of("jobs", id, what)
        made = job.artifact if what == "artifact" else job.curves
        if made is None:
            with self._transport.stream(
                url
            ):  # its problem says why there is none, unless there is one by now
                return self._fetch(id, what, target, name, on_progress, compressed)
        target = target / name if target.is_dir() else target
        return download(
            self._transport, url, target, made.sha256, made.size_bytes, on_progress, compressed=compressed
        )
