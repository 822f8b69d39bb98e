"""Blocks found, cut and run, or the reason: every float model of ../shared; 21 networks of the field, small and with
random weights, each as both of torch's exporters write it; and 13 ways of writing attention by both."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from benchmarks.parts import Row
from benchmarks.shared_data import SHARED, prepare
from tests.support import residual_convnets as convnets
from tests.support import residual_transformers as transformers
from tests.support.onnx_export import EXPORTERS, export_onnx
from tests.support.ort import run
from tests.support.transformers import INPUT, LENGTH, STYLES, exported
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import Recipe
from worker.compression.data.open import open_samples
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.measure.network import Network
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.upload_gate.convert import torch_export, torchscript

ROWS: Final = 8
SHARE: Final = 1 / 3
"""Of the blocks that can go, rounded up."""
STEP: Final = {"kind": "depth_pruning", "criterion": "block_influence", "amount": SHARE, "samples": ROWS}
"""Judged in one pass: which blocks go matters nothing here."""
EXTENT: Final = Extent(brief=True, times=False, weighs=False)
MOST_BYTES: Final = 2**30
PICTURE, VECTORS, IDS = (
    lambda: torch.randn(ROWS, 3, 32, 32),
    lambda: torch.randn(ROWS, 12, transformers.WIDTH),
    lambda: torch.randint(0, transformers.WORDS, (ROWS, transformers.LENGTH)),
)
Inputs = Sequence[Callable[[], Tensor]]
NETWORKS: Final[tuple[tuple[Callable[[], nn.Module], Inputs, int], ...]] = (
    (convnets.resnet, [PICTURE], 4),
    (convnets.regnet, [PICTURE], 4),
    (convnets.preact_resnet, [PICTURE], 4),
    (convnets.mobilenet_v2, [PICTURE], 4),
    (convnets.efficientnet, [PICTURE], 4),
    (convnets.convnext, [PICTURE], 4),
    (convnets.convmixer, [PICTURE], 3),
    (convnets.edsr, [PICTURE], 4),
    (convnets.ResidualUNet, [PICTURE], 4),
    (convnets.WaveNet, [lambda: torch.randn(ROWS, 8, 64)], 0),
    (convnets.DenseNet, [PICTURE], 0),
    (convnets.vgg, [PICTURE], 0),
    (transformers.bert, [IDS], 6),
    (transformers.Gpt, [IDS], 6),
    (transformers.T5, [IDS, IDS], 10),
    (transformers.Vit, [PICTURE], 6),
    (transformers.swin, [PICTURE], 8),
    (transformers.mixer, [PICTURE], 4),
    (transformers.conformer, [lambda: torch.randn(ROWS, 40, 20)], 8),
    (transformers.torch_encoder, [VECTORS], 4),
    (transformers.TorchTransformer, [VECTORS, VECTORS], 10),
)
"""Network, inputs, and how many blocks its paper's reader would take out: those with a projection on the shortcut stay,
and so do WaveNet's, whose inner values are added up in its answer too."""
BLOCKS_OF_A_STYLE: Final = 2


@dataclass(frozen=True)
class Outcome:
    """`blocks` that were found, of which so many were `able` to go and have `gone`; or why none can, or what failed."""

    blocks: int = 0
    able: int = 0
    gone: int = 0
    before: int = 0
    after: int = 0
    reason: str = ""
    failure: str = ""

    def __str__(self) -> str:
        if self.failure or self.reason:
            return f"FAILED: {self.failure}" if self.failure else f"refused: {self.reason}"
        macs = f", {self.before:,} → {self.after:,} MACs" if self.before else ", MACs unknown"
        return f"{self.blocks} found, {self.able} can go, {self.gone} gone{macs}"


def rows(folder: Path) -> Iterator[Row]:
    outcomes = list[Outcome]()
    for parts in (_shared, _styles, _networks):
        for row, of_row in parts(folder):
            outcomes += of_row
            yield row
    failed = sum(bool(outcome.failure) for outcome in outcomes)
    refused = sum(bool(outcome.reason) for outcome in outcomes)
    measured = (
        f"{len(outcomes) - refused - failed} cut and run, {refused} refused with a reason, {failed} failed"
    )
    yield Row("sweep", f"all {len(outcomes)} files", "none fails", measured, not failed)


def _shared(folder: Path) -> Iterator[tuple[Row, list[Outcome]]]:
    for path in sorted((SHARED / "models").iterdir()):
        if path.suffix in (".onnx", ".pt", ".pt2") and "int8" not in path.name:
            outcome = _outcome(partial(_shared_model, path, folder / path.name))
            yield (
                Row("sweep", path.name, "cut and run, or why not", str(outcome), not outcome.failure),
                [outcome],
            )


def _shared_model(path: Path, folder: Path) -> Outcome:
    folder.mkdir()
    known = prepare(path.name, 3 * ROWS)
    np.savez(archive := folder / "data.npz", **known.arrays)  # type: ignore[arg-type]
    source = Source(archive, Declaration.model_validate(known.declaration), known.calibration)
    if path.suffix == ".onnx":
        return _cut(path, source, folder, Benchmark(shapes=known.shapes))
    made, (name,) = folder / "converted.onnx", known.declaration["inputs"]
    if path.suffix == ".pt2":
        torch_export.convert(path, made, max_bytes=MOST_BYTES)
    else:
        image = TensorSpec(name=name, dtype="float32", shape=["N", 1, 28, 28])
        torchscript.convert(path, made, [image], allowed=True, max_bytes=MOST_BYTES)
    source = replace(source, map={onnx.load(made).graph.input[0].name: name})
    return _cut(made, source, folder, Benchmark())


def _styles(folder: Path) -> Iterator[tuple[Row, list[Outcome]]]:
    outcomes = list[Outcome]()
    for style in STYLES:
        for exporter in EXPORTERS:
            place, inputs = folder / f"{style}-{exporter}", [torch.randn(ROWS, LENGTH, INPUT)]
            outcomes.append(_outcome(partial(_exported, partial(exported, style, exporter), inputs, place)))
    able, gone, before, after = (
        sum(getattr(each, name) for each in outcomes) for name in ("able", "gone", "before", "after")
    )
    failures = [str(each) for each in outcomes if each.failure or each.able != BLOCKS_OF_A_STYLE]
    measured = f"{able} can go, {gone} gone, {before:,} → {after:,} MACs{'; '.join(['', *failures])}"
    wanted = f"{BLOCKS_OF_A_STYLE} can go of each of {len(outcomes)} files"
    yield Row("sweep", f"attention in {len(STYLES)} styles", wanted, measured, not failures), outcomes


def _networks(folder: Path) -> Iterator[tuple[Row, list[Outcome]]]:
    for make, inputs, blocks in NETWORKS:
        torch.manual_seed(0)
        network, values = make().eval(), [value() for value in inputs]
        outcomes = list[Outcome]()
        for exporter in EXPORTERS:
            place = folder / f"{make.__name__}-{exporter}"
            export = partial(export_onnx, network, [value[:2] for value in values], exporter)
            outcomes.append(_outcome(partial(_exported, export, values, place)))
        met = all(not each.failure and each.able == blocks for each in outcomes)
        ways = list(map(str, outcomes))
        measured = (
            f"both: {ways[0]}"
            if ways[0] == ways[1]
            else "; ".join(f"{exporter}: {way}" for exporter, way in zip(EXPORTERS, ways, strict=True))
        )
        yield Row("sweep", make.__name__, f"{blocks} can go by both exporters", measured, met), outcomes


def _exported(export: Callable[[], onnx.ModelProto], inputs: Sequence[Tensor], folder: Path) -> Outcome:
    folder.mkdir()
    proto = export()
    onnx.save(proto, path := folder / "model.onnx")
    names = [value.name for value in proto.graph.input]
    np.savez(archive := folder / "data.npz", **dict(zip(names, (x.numpy() for x in inputs), strict=True)))
    return _cut(path, Source(archive), folder, Benchmark())


def _cut(path: Path, source: Source, folder: Path, benchmark: Benchmark) -> Outcome:
    """Through the whole pipeline but for timing; what comes out is run beside what went in."""
    options = Options(benchmark=benchmark, judging="trial", extent=EXTENT)
    recipe = Recipe.model_validate({"steps": [STEP]})
    report = compress(path, recipe, Data(calibration=source), out := folder / "out", options=options)
    blocks = report.steps[0].details["blocks"]
    macs = (0, 0) if report.macs is None else (int(report.macs.before), int(report.macs.after))
    able, gone = (
        sum(bool(each[name]) == wanted for each in blocks)
        for name, wanted in (("pinned", False), ("removed", True))
    )
    return Outcome(
        len(blocks), able, gone, *macs, failure=_fault(path, out / "artifact.onnx", source, folder)
    )


def _fault(before: Path, after: Path, source: Source, folder: Path) -> str:
    """What is wrong with the outputs, on a batch of the data; nothing where they are finite and shaped as before."""
    onnx.checker.check_model(str(after), full_check=True)
    feed = next(open_samples(source, Network(before, 1, before.name).inputs, folder / "feeds").batches(2))
    ours, theirs = run(after, feed), run(before, feed)
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        return f"outputs of {[x.shape for x in ours]} in place of {[x.shape for x in theirs]}"
    return "" if all(np.isfinite(x).all() for x in ours if x.dtype.kind == "f") else "outputs are not finite"


def _outcome(work: Callable[[], Outcome]) -> Outcome:
    """A refusal for want of blocks is an outcome; whatever else is raised is a failure of the sweep's subject."""
    try:
        return work()
    except Refusal as refusal:
        said = f"{refusal.problem.code}: {refusal.problem.detail}"
        return (
            Outcome(reason=said) if refusal.problem.code == "nothing_to_compress" else Outcome(failure=said)
        )
    except Exception as error:
        return Outcome(failure=f"{type(error).__name__}: {error}")
