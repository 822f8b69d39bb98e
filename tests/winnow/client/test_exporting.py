"""A finished job goes from one service to another in a file."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.api.openapi import corpus
from app.queue import MemoryQueue
from app.storage import records
from app.storage.ids import new_id
from app.storage.memory import MemoryRecords
from app.storage.records import Wake
from tests.support.facts import dataset_facts, model_facts
from tests.support.records import a_trial
from tests.support.served import Served, served
from winnow.client import Client, ClientError, DamagedTransfer, UnusableFile
from winnow.contract.job import Job, JobRequest
from winnow.contract.report import Report
from winnow.contract.trial_result import result_of

ONNX = bytes([0x08, 10, 0x3A, 4]) + b"grap"
SMALL = bytes([0x08, 10, 0x3A, 4]) + b"smal"
REPORT = json.dumps(corpus()["Report"][0]).encode()


class Inspecting(MemoryQueue):
    """Whatever is to be inspected is ready at once."""

    def __init__(self, kept: MemoryRecords) -> None:
        super().__init__()
        self._records = kept

    def publish(self, wake: Wake) -> bool:
        if wake.queue == "inspect":
            item = self._records.claim(wake.id, 1000.0, 30.0)
            assert item is not None
            facts = model_facts() if wake.id.startswith("mdl_") else dataset_facts()
            self._records.finish(
                wake.id, item.attempt, 1001.0, {"state": "ready", "facts": facts.model_dump()}
            )
        return super().publish(wake)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    with ExitStack() as stack:
        both = []
        for name in ("here", "there"):
            kept = MemoryRecords()
            both.append(stack.enter_context(served(tmp_path / name, kept, queue=Inspecting(kept))))
        yield both[0], both[1]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", b"numbers")
    contents = {"net.onnx": ONNX, "teacher.onnx": ONNX.replace(b"grap", b"GRAP"), "x.npz": buffer.getvalue()}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def finished(here: Served, client: Client, files: dict[str, Path]) -> Job:
    """A job that names three uploads, and has made what jobs make."""
    model, teacher = (client.upload_model(files[name]).id for name in ("net.onnx", "teacher.onnx"))
    data = client.upload_dataset(files["x.npz"], {"constants": {"sr": 16000}}).id
    request = JobRequest.model_validate(
        {
            "model": model,
            "name": "smaller",
            "recipe": {"steps": [{"kind": "distillation", "teacher": teacher}]},
            "data": {"training": {"dataset": data}},
        }
    )
    made = {
        "artifact_sha256": stored(here, SMALL),
        "artifact_bytes": len(SMALL),
        "report_sha256": stored(here, REPORT),
        "graph_sha256": "c" * 64,
        "curves_sha256": stored(here, b"curves"),
        "curves_bytes": 6,
    }
    ended = {"state": "succeeded", "outcome": "accepted", "requirements": [], "progress": 1.0, "attempt": 2}
    times = {"created_at": 1000.0, "started_at": 1001.5, "finished_at": 1002.5}
    named = {"id": new_id("job"), "model": model, "uses": (model, teacher, data)}
    job = records.Job(request=request.model_dump(mode="json"), **named, **made, **ended, **times)
    return client.job(here.parts.records.add_job(job, None)[0].id)


def stored(service: Served, content: bytes) -> str:
    writer = service.parts.blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def test_a_job_that_was_exported_and_imported_is_the_same_but_for_ids_and_its_creation(
    services: tuple[Served, Served], files: dict[str, Path], tmp_path: Path
) -> None:
    with Client(services[0].url) as here, Client(services[1].url) as there:
        job = finished(services[0], here, files)
        file = here.export(job.id, tmp_path / "out" / "job.tar")
        imported = there.import_job(file)
        own = {"id", "created_at", "model", "recipe", "data", "max_attempts"}
        assert imported.model_dump(exclude=own) == job.model_dump(exclude=own)
        assert imported.started_at is not None
        assert there.report(imported.id) == here.report(job.id)
        assert there.download(imported.id, tmp_path / "small.onnx").read_bytes() == SMALL
        assert there.download_curves(imported.id, tmp_path / "curves.zip").read_bytes() == b"curves"
        [step] = imported.recipe.steps  # type: ignore[union-attr]
        assert imported.data.training is not None
        uploads = {"net.onnx": imported.model, "teacher.onnx": step.teacher}  # type: ignore[union-attr]
        for name, id in uploads.items():
            assert there.model(id).name == name
            content = services[1].http.get(f"/v1/models/{id}/content").content
            assert content == files[name].read_bytes()
        data = there.dataset(imported.data.training.dataset)
        assert data.declaration.constants == {"sr": 16000}
        again = there.import_job(file)
        assert (again.model, again.data) == (imported.model, imported.data)
    assert [path.name for path in file.parent.iterdir()] == ["job.tar"]


def test_a_search_goes_with_its_trials(
    services: tuple[Served, Served], files: dict[str, Path], tmp_path: Path
) -> None:
    with Client(services[0].url) as here, Client(services[1].url) as there:
        model, teacher = (here.upload_model(files[name]).id for name in ("net.onnx", "teacher.onnx"))
        step = {"kind": "distillation", "teacher": teacher, "epochs": {"any_of": [1, 2]}}
        data = here.upload_dataset(files["x.npz"], {}).id
        asked = {"model": model, "recipe": {"steps": [step]}, "search": {"budget": {"trials": 2}}}
        request = JobRequest.model_validate({**asked, "data": {"training": {"dataset": data}}})
        made = {
            "artifact_sha256": stored(services[0], SMALL),
            "artifact_bytes": len(SMALL),
            "report_sha256": stored(services[0], REPORT),
            "graph_sha256": "c" * 64,
        }
        job = records.Job(
            id=new_id("job"),
            request=request.model_dump(mode="json"),
            **{"model": model, "uses": (model, teacher, data), "searches": True, "created_at": 1000.0},
            **{"state": "succeeded", "outcome": "accepted", "requirements": [], "progress": 1.0},
            **{"finished_at": 1002.0, **made},
        )
        result = result_of(Report.model_validate_json(REPORT))
        named = [f"layer{number:0>90}" for number in range(1000)]
        long = {"kind": "sparsity", "structure": "2:4", "layers": named}
        steps = [{**step, "epochs": 1}, long]
        tried = {"recipe": {"steps": steps}, "seconds": 3.0, "worker": "worker-1"}
        trials = [
            a_trial(job, 0, state="finished", result=result, **tried, **made),
            a_trial(job, 1, state="failed", problem=corpus()["Problem"][0], **tried),
            a_trial(job, 2, state="stopped_early", recipe=None),
            a_trial(job, 3, state="running", **tried),
        ]
        services[0].parts.records.add_job(job, None, trials)
        imported = there.import_job(here.export(job.id, tmp_path / "job.tar"))
        known = [trial for trial in here.trials(job.id) if trial.number < 3]
        taken_in = [*there.trials(imported.id)]
        for ours, theirs in zip(known, taken_in, strict=True):
            assert theirs.model_dump(exclude={"recipe"}) == ours.model_dump(exclude={"recipe"})
        assert taken_in[0].recipe is not None
        taught, _ = taken_in[0].recipe.steps
        assert there.model(taught.teacher).name == "teacher.onnx"  # type: ignore[union-attr]
        assert taken_in[2].recipe is None
        assert there.download_trial(imported.id, 0, tmp_path / "0.onnx").read_bytes() == SMALL
        assert there.trial_report(imported.id, 0) == here.trial_report(job.id, 0)


def test_a_job_that_has_not_finished_is_not_exported(
    services: tuple[Served, Served], files: dict[str, Path], tmp_path: Path
) -> None:
    with Client(services[0].url) as here:
        model = here.upload_model(files["net.onnx"]).id
        job = here.submit(model=model, recipe={"steps": [{"kind": "float16"}]})
        with pytest.raises(ClientError, match="is queued; it can be exported when it has ended"):
            here.export(job.id, tmp_path / "job.tar")
        here.cancel(job.id)
        there = here.export(job.id, tmp_path / "job.tar")
        assert here.import_job(there).state == "cancelled"
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def rewritten(file: Path, members: dict[str, bytes | None]) -> Path:
    """The archive with other members in place of its own, None for none."""
    with tarfile.open(file) as archive:
        contents = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    with tarfile.open(changed := file.with_name("changed.tar"), "w") as archive:
        for name, content in {**contents, **members}.items():
            if content is not None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return changed


@pytest.mark.parametrize(
    ("members", "error", "why"),
    [
        ({"artifact.onnx": SMALL[:-1] + b"L"}, DamagedTransfer, "artifact.onnx in .* has SHA-256"),
        ({"report.json": None}, DamagedTransfer, "lacks report.json"),
        ({"export.json": None}, UnusableFile, "has no export.json"),
        ({"export.json": b"{}"}, UnusableFile, "cannot be imported"),
        (
            {"export.json": b" " * (2**20 + 1)},
            UnusableFile,
            "export.json in the file has more than 1,048,576",
        ),
        ({"../passwd": b"x"}, UnusableFile, "cannot be imported"),
    ],
)
def test_what_was_damaged_is_told_before_anything_is_sent(
    services: tuple[Served, Served],
    files: dict[str, Path],
    tmp_path: Path,
    members: dict[str, bytes | None],
    error: type[ClientError],
    why: str,
) -> None:
    with Client(services[0].url) as here, Client(services[1].url) as there:
        file = here.export(finished(services[0], here, files).id, tmp_path / "job.tar")
        with pytest.raises(error, match=why):
            there.import_job(rewritten(file, members))
        assert [*there.models(), *there.datasets(), *there.jobs()] == []


def test_what_is_no_archive_is_told(services: tuple[Served, Served], tmp_path: Path) -> None:
    (file := tmp_path / "job.tar").write_bytes(b"no tar at all")
    with Client(services[1].url) as there, pytest.raises(UnusableFile, match="is no tar"):
        there.import_job(file)
