"""`make bench-models`: every file of ../shared/models through upload → the fitting step → download → ONNX Runtime.

Everything goes over HTTP to an embedded service; times and sizes come from the jobs' reports, the last column from
running the downloaded file here. LeNet-5 comes in three formats whose artifacts must agree.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from rich.console import Console
from rich.table import Table

from app.embedded import running
from app.settings import Settings
from benchmarks.shared_data import SHARED, Prepared, prepare, shared_or_exit
from benchmarks.speed import speed_told
from winnow.client import Client
from winnow.client.errors import ServiceProblem, UploadRejected
from winnow.contract.data_uses import DataUse, DataUses
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark, JobRequest
from winnow.contract.model import Model
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report

DYNAMIC = {"dtln-1.onnx", "silero-vad-op18.onnx"}
"""LSTM models without convolutions: static int8 finds next to nothing in them."""
DECLARED = {"lenet5-mnist.torchscript.pt": ["image:float32[N,1,28,28]"]}
SAME = "lenet5-mnist"
ROUNDS = 15
JUDGED, SPEEDUP, LOST = "resnet20-cifar10-jpeg.onnx", 1.8, 0.003


@dataclass(frozen=True)
class Row:
    model: str
    step: str
    outcome: str
    nodes: str = ""
    size: str = ""
    speedup: str = ""
    quality: str = ""
    data: str = ""
    loaded: str = ""
    numbers: tuple[float, float] | None = None
    """Speed-up, and what was lost of the metric."""


def main() -> None:
    shared_or_exit()
    rows, artifacts = [], {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder) / "var", port=0, allow_torchscript=True, log_level="WARNING"
        )
        with running(settings) as url, Client(url) as winnow:
            for path in _files():
                row = _one(winnow, path, Path(folder))
                rows.append(row)
                print(f"{row.model}: {row.outcome}", flush=True)
                if path.name.startswith(SAME) and row.loaded:
                    artifacts[path.name] = Path(folder) / f"{path.name}.winnow.onnx"
        _print(rows)
        _judge(rows)
        _agreement(artifacts)


def _files() -> list[Path]:
    models = SHARED / "models"
    found = [*models.iterdir(), *(models / "negative").iterdir()]
    return sorted(path for path in found if path.suffix in {".onnx", ".pt", ".pt2"})


def _one(winnow: Client, path: Path, folder: Path) -> Row:
    step, stage = "int8_dynamic" if path.name in DYNAMIC else "int8_static", "upload"
    try:
        model = winnow.upload_model(path, inputs=DECLARED.get(path.name, []))
        stage = step
        if model.quantized:
            request, data = JobRequest(model=model.id, recipe=_recipe(step)), ""
        else:
            prepared = prepare(path.name)
            request, data = _request(winnow, model, step, prepared, folder), prepared.origin
        job = winnow.wait(winnow.submit(request).id)
        if job.problem is not None:
            return Row(path.name, step, f"{job.state}: {job.problem.detail}")
        artifact = winnow.download(job.id, folder / f"{path.name}.winnow.onnx")
        return _row(path.name, step, winnow.report(job.id), data, artifact)
    except UploadRejected as rejected:
        return Row(path.name, stage, f"refused ({rejected.problem.code}): {rejected.problem.detail}")
    except ServiceProblem as problem:
        return Row(path.name, stage, f"refused ({problem.code}): {problem.problem.detail}")


def _recipe(step: str) -> Recipe:
    return Recipe.model_validate({"steps": [{"kind": step}]})


def _request(winnow: Client, model: Model, step: str, data: Prepared, folder: Path) -> JobRequest:
    archive = folder / "data.npz"
    np.savez(archive, **data.arrays)  # type: ignore[arg-type]
    dataset = winnow.upload_dataset(archive, Declaration.model_validate(data.declaration)).id
    names = _named_otherwise(model, [*data.declaration["inputs"]])
    return JobRequest(
        model=model.id,
        recipe=_recipe(step),
        data=DataUses(
            calibration=DataUse(dataset=dataset, slice=data.calibration, map=names),
            evaluation=DataUse(dataset=dataset, slice=data.evaluation, map=names),
        ),
        evaluation=Evaluation(metric="top1") if data.metric else None,
        benchmark=Benchmark(rounds=ROUNDS, shapes=data.shapes),
    )


def _named_otherwise(model: Model, declared: list[str]) -> dict[str, str]:
    """The only input of a model may have another name in one format than in the other."""
    names = [spec.name for spec in model.inputs or []]
    return dict(zip(names, declared, strict=True)) if len(names) == 1 and names != declared else {}


def _row(name: str, step: str, report: Report, data: str, artifact: Path) -> Row:
    done, timed = report.steps[-1], report.latency[0]
    return Row(
        name,
        step,
        report.outcome,
        f"{done.changed} of {done.candidates}",
        f"{report.size_bytes.ratio:.2f}×",
        speed_told(report),
        _told(report),
        data,
        _load(artifact),
        (timed.speedup, report.quality[0].drop) if report.quality and timed.speedup else None,
    )


def _told(report: Report) -> str:
    if report.quality:
        quality = report.quality[0]
        return f"{quality.metric} {100 * quality.before:.2f} → {100 * quality.after:.2f} %"
    worst = min(report.parity, key=lambda p: np.inf if p.snr_db is None else p.snr_db)
    cosine = "" if worst.cosine is None else f"cosine {worst.cosine:.4f}, "
    snr = "" if worst.snr_db is None else f"SNR {worst.snr_db:.1f} dB"
    return f"{cosine}{snr}"


def _load(artifact: Path) -> str:
    session = ort.InferenceSession(str(artifact), providers=["CPUExecutionProvider"])
    lineage = session.get_modelmeta().custom_metadata_map
    json.loads(lineage["winnow.recipe"])
    return f"{len(session.get_inputs())} in, {len(session.get_outputs())} out"


def _print(rows: list[Row]) -> None:
    table = Table(title="shared models, batch 1, one thread, speed-up with its 95 % interval")
    for column in (
        "model",
        "step",
        "outcome",
        "nodes",
        "size",
        "speed-up",
        "quality or parity",
        "data",
        "in ORT",
    ):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[value for value in vars(row).values() if isinstance(value, str)])
    Console(width=170).print(table)


def _judge(rows: list[Row]) -> None:
    """What the issue asks of one model."""
    row = next((row for row in rows if row.model == JUDGED), None)
    if row is None or row.numbers is None:
        print(f"{JUDGED}: NOT met, there is no result")
        return
    speedup, lost = row.numbers
    print(
        f"{JUDGED}: {speedup:.2f}× as fast, asked at least {SPEEDUP}×: {'met' if speedup >= SPEEDUP else 'NOT met'}"
    )
    print(
        f"{JUDGED}: {100 * lost:.2f} points of top-1 lost, asked at most {100 * LOST:.1f}: "
        f"{'met' if lost <= LOST else 'NOT met'}"
    )


def _agreement(artifacts: dict[str, Path]) -> None:
    """The three LeNets: the same top-1 predictions on MNIST's test set, sizes within 3 %."""
    data = prepare(f"{SAME}.onnx")
    images = data.arrays["x"][slice(*data.evaluation), None].astype(np.float32) / 255
    predicted = {}
    for name, path in artifacts.items():
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {session.get_inputs()[0].name: images})[:1]
        predicted[name] = np.asarray(logits).argmax(1)
    if len(artifacts) < 3:
        print(f"{SAME}: NOT met, only {', '.join(artifacts) or 'none'} of its three formats gave an artifact")
        return
    first = predicted[f"{SAME}.onnx"]
    sizes = {name: path.stat().st_size for name, path in artifacts.items()}
    for name, labels in predicted.items():
        differ, larger = int((labels != first).sum()), sizes[name] / sizes[f"{SAME}.onnx"] - 1
        print(
            f"{name}: {differ} of {len(first)} predictions differ from the .onnx artifact's, {sizes[name]} bytes, "
            f"{100 * larger:+.2f} %: {'met' if not differ and abs(larger) <= 0.03 else 'NOT met'}"
        )


if __name__ == "__main__":
    main()
