"""Bytes beside ONNX Runtime's quantizer, and what loading few values costs: time and memory beside the float model.

Models are those of ../shared and a MobileNetV1 of 210,850 parameters. ONNX Runtime quantizes the nodes that
`int8_static` took, weights per channel, activations uint8; it reads what we quantize: the upload in normal form.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks.parts import Row
from benchmarks.shared_data import SHARED, Prepared, prepare
from tests.support.mobilenet import mobilenet
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.open import open_samples
from worker.compression.data.source import Data, Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.ir.edit import GraphEdit
from worker.compression.measure.apart.memory import measure_fresh
from worker.compression.measure.apart.subprocesses import Subprocesses
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT, compress
from worker.compression.quantization.integer.eligibility import select
from worker.compression.steps.opset import raised

STORAGE: Final = "tests/worker/compression/weight_storage"
HELD: Final = {
    "compact: the same bits, kernels and names of the upload": f"{STORAGE}/test_drop_defaults.py",
    "zeros in little space: the same bits, folded when loaded": f"{STORAGE}/test_smallest_form.py",
    "codes in few bits: what reads each alone is done to a table": f"{STORAGE}/test_bitstream.py",
}
MOBILENET: Final = "mobilenet.onnx"
ROWS: Final = 16
"""That calibrate: how many does not change a size."""
TURNS: Final = 9
LOADED: Final = ("squeezenet1.1.onnx", "yolox_nano.onnx", "resnet20-cifar10.onnx")
MOST_LOAD: Final = {"palette": 2.0, "binary": 2.0}
"""Times the float model's, by step."""
FORMATS: Final = {"Q/DQ": QuantFormat.QDQ, "QOperator": QuantFormat.QOperator}


def rows(folder: Path) -> Iterator[Row]:
    onnx.save(mobilenet(), folder / MOBILENET)
    shared = sorted((SHARED / "models").glob("*.onnx")) if SHARED.is_dir() else []
    for path in (folder / MOBILENET, *shared):
        (own := folder / path.stem).mkdir()
        yield _beside(path, own)
    yield _mixed(folder / MOBILENET, folder)
    for name in LOADED if shared else ():
        yield from _loads(SHARED / "models" / name, folder)


def _prepared(path: Path) -> Prepared:
    if path.name != MOBILENET:
        return prepare(path.name)
    images = np.random.default_rng(0).random((ROWS, 3, 96, 96), np.float32)
    return Prepared("noise", {"x": images}, {"inputs": {"x": {"array": "x"}}}, (0, ROWS), (0, ROWS))


def _source(path: Path, folder: Path) -> Source:
    prepared = _prepared(path)
    np.savez(folder / "data.npz", **prepared.arrays)  # type: ignore[arg-type]
    first = prepared.calibration[0]
    return Source(
        folder / "data.npz", Declaration.model_validate(prepared.declaration), (first, first + ROWS)
    )


def _compressed(path: Path, step: dict[str, Any], folder: Path, source: Source | None) -> Report:
    shapes = _prepared(path).shapes
    options = Options(benchmark=Benchmark(shapes=shapes, rounds=9))
    recipe = Recipe.model_validate({"steps": [step]})
    return compress(path, recipe, Data(calibration=source), folder / step["kind"], options=options)


def _beside(path: Path, folder: Path) -> Row:
    """Bytes of the artifact, with all its metadata, beside both forms of ONNX Runtime's."""
    item, asked = f"bytes of {path.name}", "no more than the smaller of ONNX Runtime's"
    try:
        source = _source(path, folder)
        report = _compressed(path, {"kind": "int8_static"}, folder, source)
    except (Refusal, KeyError) as error:
        why = error.problem.code if isinstance(error, Refusal) else "no data is known for it"
        return Row("sizes", item, asked, f"not quantized: {why}", True)
    ours = int(report.size_bytes.after)
    theirs = {name: _onnx_runtime(path, form, source, folder) for name, form in FORMATS.items()}
    sizes = [size for size in theirs.values() if isinstance(size, int)]
    told = ", ".join(
        f"{name} {size if isinstance(size, str) else f'{size:,}'}" for name, size in theirs.items()
    )
    before = int(report.size_bytes.before)
    measured = f"{before:,} → {ours:,} ({ours / before:.3f}); {told}"
    if not sizes:
        return Row("sizes", item, "listed where ONNX Runtime fails", measured, True)
    return Row("sizes", item, asked, measured, ours <= min(sizes))


def _onnx_runtime(path: Path, form: QuantFormat, source: Source, folder: Path) -> int | str:
    """Bytes, or how it failed."""
    model = model_files.load(path)
    tidy(model)
    model, _ = raised(normalise(model), 13, "scales per channel")
    nodes = [str(node.name) for node in select(GraphEdit(model)).nodes]
    reader = _Reader(model, source, folder)
    plain, out = folder / "plain.onnx", folder / "theirs.onnx"
    model_files.save(model, plain)
    proto = onnx.load(plain)
    del proto.graph.value_info[:]
    onnx.save(proto, plain)
    try:
        quantize_static(
            plain,
            out,
            reader,
            quant_format=form,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=nodes,
        )
    except Exception as error:  # whatever it is, it is told
        return f"failed ({type(error).__name__}: {str(error)[:80]})"
    return out.stat().st_size


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Rows one by one: most of the models have a batch of one."""

    def __init__(self, model: ir.Model, source: Source, folder: Path) -> None:
        samples = open_samples(source, inputs_of(model), folder)
        self._feeds = iter(list(samples.take(4).batches(1)))

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _mixed(path: Path, folder: Path) -> Row:
    source = _source(path, folder)
    step = {"kind": "mixed_precision", "max_size_ratio": 0.22}
    report = _compressed(path, step, folder, source)
    ratio = report.size_bytes.after / report.size_bytes.before
    return Row(
        "sizes", "mixed_precision of MobileNetV1", "≤ 0.22 of the upload", f"{ratio:.4f}", ratio <= 0.22
    )


def _loads(path: Path, folder: Path) -> Iterator[Row]:
    feed = _feed(path, folder)
    for step in ({"kind": "palette"}, {"kind": "binary"}, {"kind": "sparsity", "criterion": "magnitude"}):
        (own := folder / f"{path.stem}-{step['kind']}").mkdir()
        try:
            _compressed(path, step, own, None)
        except Refusal as refusal:
            measured = f"refused: {refusal.problem.code}"
            yield Row("sizes", f"loading {path.name} after {step['kind']}", "2×", measured, False)
            continue
        yield _load(path, own / step["kind"] / ARTIFACT, feed, str(step["kind"]))


def _load(before: Path, after: Path, feed: dict[str, Any], kind: str) -> Row:
    """Both in turns, each time in a process that has done nothing else; the smallest of each, since whatever else runs
    on the machine can only add."""
    turns = [
        [measure_fresh(path, feed, 1, path.name, Subprocesses()) for path in (before, after)]
        for _ in range(TURNS)
    ]
    theirs, ours = (min(turn[side].load_ms for turn in turns) for side in (0, 1))
    memory = [min(turn[side].peak_rss_bytes for turn in turns) for side in (0, 1)]
    times, held = ours / theirs, memory[1] / memory[0]
    most = MOST_LOAD.get(kind, float("inf"))
    return Row(
        "sizes",
        f"loading {before.name} after {kind}",
        f"≤ {most:g}× the time" if kind in MOST_LOAD else "no target; the docs tell it",
        f"{times:.2f}× the time ({theirs:.1f} → {ours:.1f} ms), {held:.2f}× the memory",
        times <= most,
    )


def _feed(path: Path, folder: Path) -> dict[str, Any]:
    samples = open_samples(_source(path, folder), inputs_of(normalise(model_files.load(path))), folder)
    return dict(next(iter(samples.take(1).batches(1))))
