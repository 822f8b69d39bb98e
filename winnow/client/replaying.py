"""A bundle's job done again: what has to be sent for it, and how its result compares with the first one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from winnow.client.bundle import Bundle
from winnow.client.client import Client
from winnow.client.errors import ClientError, UnusableFile
from winnow.client.files import sha256_of
from winnow.client.importing import renamed
from winnow.contract.exported import ExportedUpload
from winnow.contract.job import ClosedJob, JobRequest
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models
from winnow.contract.report import Quality, Report


@dataclass(frozen=True)
class NeededFile:
    """Something that has to be sent again: its id in the recipe, and what it is used as, for example `calibration`."""

    id: str
    used_as: tuple[str, ...]
    upload: ExportedUpload | None

    def __str__(self) -> str:
        known = "" if self.upload is None else f" ({self.upload.name}, SHA-256 {self.upload.sha256[:12]}…)"
        return f"{' and '.join(self.used_as)}{known}"


def closed_job_of(bundle: Bundle) -> ClosedJob:
    """The job to be done again. Raises `ClientError` where the result was the upload itself."""
    if bundle.recipe.job is None:
        raise ClientError(
            f"the result in {bundle.path} is the upload itself, tidied: there is no recipe to replay"
        )
    return bundle.recipe.job


def needed_datasets(bundle: Bundle) -> list[NeededFile]:
    given = uses(closed_job_of(bundle).data)
    ids = dict.fromkeys(use.dataset for use in given.values())
    return [
        NeededFile(id, tuple(role for role, use in given.items() if use.dataset == id), _known(bundle, id))
        for id in ids
    ]


def needed_models(bundle: Bundle) -> list[NeededFile]:
    """Teachers and students, as far as they are no file that is sent anyway."""
    job = closed_job_of(bundle)
    fields = named_models(job.recipe)
    return [NeededFile(id, (field,), _known(bundle, id)) for id, field in fields.items() if id != job.model]


def _known(bundle: Bundle, id: str) -> ExportedUpload | None:
    return next((upload for upload in bundle.recipe.uploads if upload.id == id), None)


def check_same_model(bundle: Bundle, model: Path) -> None:
    """Raises `UnusableFile` for another model than the bundle was made of."""
    known = _known(bundle, closed_job_of(bundle).model)
    expected = {bundle.report.source_sha256} | (set() if known is None else {known.sha256})
    if (found := sha256_of(model)) not in expected:
        raise UnusableFile(
            f"{model} has SHA-256 {found}; the bundle was made of {bundle.report.source_sha256}: give that model"
        )


def send_again(
    client: Client, bundle: Bundle, model: Path, files: Mapping[str, list[Path]]
) -> tuple[JobRequest, list[str]]:
    """Send the model and the files by the id they stand for; the request, and notes on data that is not the same.

    Raises `UnusableFile`, `DamagedTransfer`, `UploadRejected`.
    """
    job, notes = closed_job_of(bundle), []
    known = _known(bundle, job.model)
    ids = {job.model: client.upload_model(model, inputs=known.inputs if known else ()).id}
    for needed in needed_models(bundle):
        ids[needed.id] = client.upload_model(files[needed.id][0]).id
    for needed in needed_datasets(bundle):
        paths, upload = files[needed.id], needed.upload
        sent = client.upload_dataset(
            paths[0] if len(paths) == 1 else paths, None if upload is None else upload.declaration
        )
        ids[needed.id] = sent.id
        if upload is not None and sent.sha256 != upload.sha256:
            notes.append(f"{paths[0]} is not the data for {needed}: the graph may come out differently")
    return JobRequest.model_validate(renamed(job.model_dump(mode="json"), ids)), notes


@dataclass(frozen=True)
class Measure:
    """A figure of the result then and now. `agrees` is None for what depends on the machine and is not judged."""

    name: str
    then: float | None
    now: float | None
    agrees: bool | None


@dataclass(frozen=True)
class Replayed:
    """The first report beside that of the replay."""

    then: Report
    now: Report

    @property
    def same_graph(self) -> bool:
        return self.then.graph_sha256 == self.now.graph_sha256

    @property
    def agrees(self) -> bool:
        """The same graph, and no metric outside of the first one's interval."""
        return self.same_graph and all(measure.agrees is not False for measure in self.measures)

    @property
    def measures(self) -> list[Measure]:
        return [*self._metrics(), *self._costs()]

    @property
    def differences(self) -> list[str]:
        """What differs around the two, and may be why the graphs do."""
        before, after = self.then.environment, self.now.environment
        flags = set(before.cpu_flags) ^ set(after.cpu_flags)
        versions = {
            name: (before.versions.get(name), after.versions.get(name))
            for name in before.versions.keys() | after.versions.keys()
        }
        told = [f"the CPUs differ by {', '.join(sorted(flags))}"] if flags else []
        if before.cores != after.cores:
            told.append(f"it was made on {before.cores} cores, and again on {after.cores}")
        return told + [
            f"{name} was {was or 'not there'}, and is {now or 'not there'}"
            for name, (was, now) in sorted(versions.items())
            if was != now
        ]

    def _metrics(self) -> Iterator[Measure]:
        now = {(entry.metric, entry.output): entry for entry in self.now.quality}
        for entry in self.then.quality:
            again = now.get((entry.metric, entry.output))
            yield Measure(
                entry.metric, entry.after, None if again is None else again.after, _within(entry, again)
            )

    def _costs(self) -> Iterator[Measure]:
        yield Measure("size_bytes", self.then.size_bytes.after, self.now.size_bytes.after, None)
        for then, now in zip(self.then.latency, self.now.latency, strict=False):
            name = f"speedup, batch {then.batch_size}, threads {then.threads}"
            yield Measure(name, then.speedup, now.speedup, None)


def _within(then: Quality, now: Quality | None) -> bool:
    if now is None:
        return False
    low, high = then.after_interval
    return low <= now.after <= high
