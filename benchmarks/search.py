"""`make bench-search`: what a search finds, beside what a user could have asked for, and that killing costs nothing.

    auto     one `auto` job a model; the artifact is judged again here, on the rows that no choice has seen
    presets  the best of all presets one by one, each with its share of the same time, beside `auto`
    edge     how far LeNet-5 can be pruned within 0.3 points: trials, and a grid of 17 beside it
    kills    SIGKILL of the worker in the middle, three times: the same result as undisturbed, nothing repeated
    pair     two workers, each on a core of its own, beside one
    slower   a model on which 8 bits are slower

`WINNOW_BENCH_SECONDS` (300) is the budget of one `auto` job, `WINNOW_BENCH_MODELS` (all) the models, by name.
`python -m benchmarks.search edge` runs one part.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import psutil

from benchmarks.embedded import service, uploaded
from benchmarks.shared_data import CALIBRATION, SHARED, Prepared, prepare
from benchmarks.table import Row, measure
from winnow.client import Client
from winnow.client.errors import ServiceProblem
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Job, JobRequest
from winnow.contract.presets import is_search, presets
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.split import rows_of
from worker.compression.data.open import open_samples
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.quality.quality import measure_quality
from worker.compression.measure.timing.fastest import Timed, time_candidates
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent
from worker.search.baseline import TELLING_SPEEDUP

SECONDS: Final = int(os.environ.get("WINNOW_BENCH_SECONDS", "300"))
MODELS: Final = os.environ.get("WINNOW_BENCH_MODELS", "").split()
LABELLED: Final = ("lenet5-mnist", "resnet20-cifar10", "resnet20-cifar10-jpeg", "dscnn-kws")
UNLABELLED: Final = ("squeezenet1.1", "yolox_nano", "ultraface-rfb-320", "super-resolution")
TASKS: Final = {
    "squeezenet1.1": "classification",
    "yolox_nano": "detection",
    "ultraface-rfb-320": "detection",
}
MAX_DROP: Final = 0.01
MIN_AGREEMENT: Final = 0.97
MIN_SNR_DB: Final = 30
ENLARGED_IMAGES: Final = {"squeezenet1.1": 4000}
"""A quarter is the final part. Of 1,000 some 20 may differ where 0.97 is asked, since the interval has to lie above
that; of the 500 that the others have 8."""
TRAINING_IMAGES: Final = 60_000
"""The whole training set of MNIST and of the CIFAR subset; then the test set is what is halved."""
GRID: Final = 17


def auto(folder: Path) -> Iterator[Row]:
    for name in models():
        yield Row("auto", name, *found_by_auto(name, folder))


def presets_one_by_one(folder: Path) -> Iterator[Row]:
    """Each with its share of the seconds; the best and what `auto` found are timed against each other, in turns. One
    graph is not timed against itself: two sessions of it differ by more than their intervals say."""
    better = 0
    for name in models():
        best, speed, by = best_of_presets(name, folder)
        if not artifact_of("auto", name, folder).exists():
            found_by_auto(name, folder)
        found = artifact_of("auto", name, folder)
        beside, high = "the same graph", 1.0
        if graph_sha256(best) != graph_sha256(found):
            entry = timed_in_turns(best, found, prepared(name, TRAINING_IMAGES))
            low, high = entry.interval
            better += low > TELLING_SPEEDUP
            beside = f"auto against it {entry.speedup:.2f}× [{low:.2f}, {high:.2f}]"
        yield Row(
            "presets",
            name,
            f"best preset: {by}, {speed:.2f}×; {beside}",
            f"≥ 0.98: {'met' if high >= 0.98 else 'NOT met'}",
        )
    yield Row(
        "presets", "better beyond doubt", f"{better} models", f"≥ 3: {'met' if better >= 3 else 'NOT met'}"
    )


def models() -> list[str]:
    return MODELS or [*LABELLED, *UNLABELLED]


def found_by_auto(name: str, folder: Path) -> tuple[str, str]:
    """Run `auto`, keep its artifact, judge it again."""
    with service(folder / f"auto-{name}") as winnow:
        request = asked(
            winnow, name, folder, {"auto": {}}, search("latency", SECONDS), training=TRAINING_IMAGES
        )
        job = winnow.wait(winnow.submit(request).id)
        if job.state == "succeeded":
            winnow.download(job.id, artifact_of("auto", name, folder))
        return told(winnow, job), judged_again(winnow, job, name, folder)


def best_of_presets(name: str, folder: Path) -> tuple[Path, float, str]:
    """The artifact of the fastest preset that is accepted; the upload where none is faster."""
    best, speed, by = SHARED / "models" / f"{name}.onnx", 1.0, "none, the upload"
    with service(folder / f"presets-{name}") as winnow:
        for preset in presets():
            seconds = max(10, SECONDS // len(presets()))
            spec = search("latency", seconds) if is_search(preset.name) else None
            recipe = {"preset": preset.name}
            request = asked(winnow, name, folder, recipe, spec, training=TRAINING_IMAGES)
            try:
                job = winnow.wait(winnow.submit(request).id)
            except ServiceProblem:  # it is not for this model
                continue
            reached = winnow.report(job.id).latency[0].speedup if job.outcome == "accepted" else None
            if reached is not None and reached > speed:
                best, speed, by = artifact_of("preset", name, folder), reached, preset.name
                winnow.download(job.id, best)
    return best, speed, by


def artifact_of(of: str, name: str, folder: Path) -> Path:
    return folder / f"{of}-{name}.onnx"


def timed_in_turns(first: Path, second: Path, data: Prepared) -> Timed:
    """The speed of the second against the first."""
    networks = [Network(path, 1, str(path.name)) for path in (first, second)]
    feed, _ = benchmark_feed(networks[0].inputs, 1, data.shapes, None, 0)
    return time_candidates(networks, feed, 0, Silent())[1]


def edge(folder: Path) -> Iterator[Row]:
    """The grid is judged as trials are, on the same rows: its best is what 17 trials would have chosen."""
    steps = [
        {"kind": "channel_pruning", "target": "parameters", "amount": {"between": [0.1, 0.9]}},
        {"kind": "distillation", "epochs": 1},
    ]
    require = {"max_metric_drop": 0.003}
    with service(folder / "edge") as winnow:
        request = asked(
            winnow, "lenet5-mnist", folder, {"steps": steps}, search("size", trials=8), require=require
        )
        job = winnow.wait(winnow.submit(request).id)
        left = winnow.report(job.id).parameters.ratio or 1.0
        yield Row("edge", "8 trials", f"{left:.3f} of the parameters; {told(winnow, job)}")
    grid = {amount: as_trial(folder, steps, amount, require) for amount in np.linspace(0.1, 0.9, GRID)}
    allowed = [ratio for ratio, met in grid.values() if met]
    best = min(allowed, default=1.0)
    places = " ".join("+" if met else "-" for _, met in grid.values())
    yield Row(
        "edge",
        f"grid of {GRID}",
        f"best {best:.3f} of the parameters; met at {places}",
        f"within 5 %: {'met' if left <= 1.05 * best else 'NOT met'}",
    )


def as_trial(
    folder: Path, steps: list[dict[str, Any]], amount: float, require: dict[str, float]
) -> tuple[float, bool]:
    """What is left of the parameters, and whether all that is required is met on the selection part."""
    closed = [steps[0] | {"amount": round(float(amount), 4)}, steps[1]]
    data = prepared("lenet5-mnist", CALIBRATION)
    report = compress(
        SHARED / "models" / "lenet5-mnist.onnx",
        Recipe.model_validate({"steps": closed}),
        Data(whole=Source(folder / "data.npz", Declaration.model_validate(data.declaration))),
        folder / f"grid-{amount:.2f}",
        options=Options(
            Evaluation(metric="top1"),
            Requirements.model_validate(require),
            judging="trial",
            extent=Extent(brief=True, times=False, weighs=False),
        ),
    )
    return float(report.parameters.ratio or 1), all(entry.met for entry in report.requirements)


def kills(folder: Path) -> Iterator[Row]:
    """The lease is short, so that a killed worker's trial is soon another's."""
    results = []
    for times in (0, 3):
        with service(folder / f"kills-{times}", lease_seconds=3.0) as winnow:
            job = winnow.submit(small_search(winnow, folder, trials=8))
            for number in range(times):
                wait_for_trials(winnow, job.id, 1 + 2 * number)
                kill_worker()
            job = winnow.wait(job.id)
            trials = [(t.number, t.recipe.model_dump_json(), t.size_bytes) for t in winnow.trials(job.id)]
            runs = len({recipe for _, recipe, _ in trials})
            results.append((job.graph_sha256, trials))
            yield Row(
                "kills", f"{times} kills", f"{job.state}, {job.outcome}; {len(trials)} trials, {runs} recipes"
            )
    same = results[0] == results[1]
    yield Row("kills", "the same", f"{'equal' if same else 'NOT equal'} recipes, sizes and graph", "equal")


def pair(folder: Path) -> Iterator[Row]:
    seconds = []
    for workers in (1, 2):
        with service(folder / f"pair-{workers}", workers=workers) as winnow:
            pin_workers()
            begun = time.monotonic()
            winnow.wait(winnow.submit(small_search(winnow, folder, trials=12)).id)
            seconds.append(time.monotonic() - begun)
    ratio = seconds[1] / seconds[0]
    yield Row(
        "pair",
        "12 trials",
        f"{seconds[0]:.0f} s and {seconds[1]:.0f} s: {ratio:.2f}",
        "≤ 0.6" + (": met" if ratio <= 0.6 else ""),
    )


def slower(folder: Path) -> Iterator[Row]:
    """LeNet-5 is so small that the work of 8 bits is more than what they save."""
    with service(folder / "slower") as winnow:
        recipe = {"steps": [{"kind": "int8_static", "calibration": {"any_of": ["minmax", "percentile"]}}]}
        request = asked(winnow, "lenet5-mnist", folder, recipe, search("latency", trials=2))
        job = winnow.wait(winnow.submit(request).id)
        yield Row(
            "slower", "int8 of LeNet-5", told(winnow, job), "says so, and gives what is better, or the upload"
        )


def search(objective: str, seconds: int | None = None, trials: int | None = None) -> dict[str, Any]:
    budget = {name: value for name, value in (("seconds", seconds), ("trials", trials)) if value is not None}
    return {"objective": objective, "budget": budget}


def asked(
    winnow: Client,
    name: str,
    folder: Path,
    recipe: Mapping[str, Any],
    spec: Mapping[str, Any] | None,
    require: Mapping[str, Any] | None = None,
    training: int = CALIBRATION,
) -> JobRequest:
    """With more images to train on than calibrate, these train and the test set is halved; else all of it is split."""
    data = prepared(name, training)
    labelled = data.metric is not None
    model = winnow.upload_model(SHARED / "models" / f"{name}.onnx")
    evaluation: dict[str, Any] | None = {"metric": "top1"} if labelled else None
    if not labelled and name in TASKS:
        evaluation = {"task": TASKS[name]}
    wanted = {"max_metric_drop": MAX_DROP} if labelled else {"min_agreement": MIN_AGREEMENT}
    return JobRequest.model_validate(
        {
            "model": model.id,
            "recipe": recipe,
            "search": spec,
            "data": data_uses(data, uploaded(winnow, folder, data.arrays, data.declaration)),
            "evaluation": evaluation,
            "require": require or (wanted if evaluation else {"min_snr_db": MIN_SNR_DB}),
            "benchmark": {"shapes": data.shapes},
        }
    )


def data_uses(data: Prepared, dataset: str) -> dict[str, Any]:
    if data.training is None or data.training == data.calibration:
        return {"dataset": dataset}
    roles = {"calibration": data.calibration, "training": data.training, "evaluation": data.evaluation}
    return {role: {"dataset": dataset, "slice": rows} for role, rows in roles.items()}


def small_search(winnow: Client, folder: Path, trials: int) -> JobRequest:
    """Nothing of it is timed: the objective is the size."""
    settings = {
        "bits": {"any_of": [8, 4, 3]},
        "block": {"any_of": [0, 32, 128]},
        "method": {"any_of": ["rtn", "hqq"]},
        "symmetric": {"any_of": [False, True]},
    }
    steps = [{"kind": "weight_only", **settings}]
    return asked(winnow, "resnet20-cifar10-jpeg", folder, {"steps": steps}, search("size", trials=trials))


def told(winnow: Client, job: Job) -> str:
    if job.state != "succeeded":
        return f"{job.state}: {job.problem and job.problem.detail}"
    report = winnow.report(job.id)
    latency, quality = report.latency[0], next(iter(report.quality), None)
    trials = (
        sum((job.trials or {}).values())
        if isinstance(job.trials, dict)
        else report.search and report.search.trials
    )
    speed = f"{latency.speedup:.2f}×" if latency.speedup else f"speed not told ({latency.untold})"
    kinds = " → ".join(step.kind for step in report.steps) or "the upload"
    lost = f", drop {quality.drop:.4f} {np.round(quality.drop_interval, 4).tolist()}" if quality else ""
    return (
        f"{job.outcome}, {trials} trials: {kinds}, {speed}, {report.size_bytes.ratio:.3f} of the bytes{lost}"
    )


def judged_again(winnow: Client, job: Job, name: str, folder: Path) -> str:
    """On the same untouched rows. Classes and pictures by ONNX Runtime and numpy alone; boxes need the decoders."""
    if job.state != "succeeded":
        return ""
    data, report = prepared(name, TRAINING_IMAGES), winnow.report(job.id)
    assert report.split is not None
    rows = rows_of(report.split, "final")
    models = [SHARED / "models" / f"{name}.onnx", winnow.download(job.id, folder / f"{name}.found.onnx")]
    if TASKS.get(name) == "detection":
        after, worst = agreement_of_boxes(models, data, rows, folder), MIN_AGREEMENT
        return verdict(job, f"agreement {after:.4f}", after < worst)
    before, after = (answers(path, data, rows) for path in models)
    if data.metric is not None:
        labels = data.arrays[data.declaration["targets"]["array"]][rows].reshape(-1)
        right = [float((side.argmax(-1).reshape(-1) == labels).mean()) for side in (before, after)]
        return verdict(job, f"top1 {right[0]:.4f} → {right[1]:.4f}", right[0] - right[1] > MAX_DROP)
    if name in TASKS:
        same = float(
            (before.reshape(len(rows), -1).argmax(1) == after.reshape(len(rows), -1).argmax(1)).mean()
        )
        return verdict(job, f"agreement {same:.4f}", same < MIN_AGREEMENT)
    noise = float(((before - after).astype(np.float64) ** 2).sum())
    snr = 10 * np.log10((before.astype(np.float64) ** 2).sum() / noise) if noise else np.inf
    return verdict(job, f"{snr:.1f} dB", snr < MIN_SNR_DB)


def verdict(job: Job, measured: str, violated: bool) -> str:
    return f"again: {measured}{' VIOLATED' if violated and job.outcome == 'accepted' else ''}"


def agreement_of_boxes(models: list[Path], data: Prepared, rows: list[int], folder: Path) -> float:
    archive = folder / "judged.npz"
    np.savez(archive, **{key: array[rows] for key, array in data.arrays.items()})  # type: ignore[arg-type]
    first, second = (Network(path, 2, path.name) for path in models)
    samples = open_samples(
        Source(archive, Declaration.model_validate(data.declaration)), first.inputs, folder
    )
    entries, *_ = measure_quality(
        first, second, samples, Evaluation(task="detection"), held_out=True, seed=0, tick=lambda share: None
    )
    return entries[0].after


def answers(path: Path, data: Prepared, rows: list[int]) -> np.ndarray:
    """The first output for these rows."""
    ((name, declared),) = data.declaration["inputs"].items()
    x = data.arrays[declared.get("array", name)][rows].astype(np.float32)
    if declared.get("add_axis") is not None:
        x = np.expand_dims(x, declared["add_axis"])
    channel = (1, -1, 1, 1) if declared.get("layout") == "NHWC->NCHW" else (-1,)
    if declared.get("layout") == "NHWC->NCHW":
        x = x.transpose(0, 3, 1, 2)
    x = x * declared.get("scale", 1.0)
    if "mean" in declared:
        mean, std = (np.array(declared[key], np.float32).reshape(channel) for key in ("mean", "std"))
        x = (x - mean) / std
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    step = entry.shape[0] if isinstance(entry.shape[0], int) else 50
    return np.concatenate(
        [
            session.run(None, {entry.name: x[i : i + step].astype(np.float32)})[0]
            for i in range(0, len(x), step)
        ]
    )


@cache
def prepared(name: str, training: int) -> Prepared:
    return prepare(f"{name}.onnx", ENLARGED_IMAGES.get(name, 2000), training)


def wait_for_trials(winnow: Client, job: str, finished: int) -> None:
    while sum(trial.state == "finished" for trial in winnow.trials(job)) < finished:
        time.sleep(0.2)


def work_processes() -> list[psutil.Process]:
    """The parents of the workers for jobs that this process has started."""
    children = psutil.Process().children()
    return [
        child
        for child in children
        if "-Q" in (line := child.cmdline()) and line[line.index("-Q") + 1].startswith("cpu")
    ]


def kill_worker() -> None:
    for process in work_processes():
        process.send_signal(signal.SIGKILL)


def pin_workers() -> None:
    for core, process in enumerate(work_processes()):
        for each in (process, *process.children(recursive=True)):
            each.cpu_affinity([core % (psutil.cpu_count() or 1)])


PARTS: Final = {
    "auto": auto,
    "presets": presets_one_by_one,
    "edge": edge,
    "kills": kills,
    "pair": pair,
    "slower": slower,
}


if __name__ == "__main__":
    measure("search", ["part", "what", "measured", "asked"], PARTS)
