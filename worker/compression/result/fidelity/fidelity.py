"""Compare what both models look at: attributions of some samples, and how alike they rank the parts of each."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import usable_threads
from worker.compression.materials import Materials
from worker.compression.measure.network import Network
from worker.compression.onnx_files import model_files
from worker.compression.result.fidelity.attribution import (
    STEPS,
    Make,
    attributed,
    differentiable,
    runnable,
)
from worker.compression.result.fidelity.attributions import Attribution, Attributions, Method
from worker.compression.result.fidelity.parts import grid_of, parts_of, summed

SAMPLES: Final = 16
SECONDS: Final = 60.0
"""After so many no further sample is begun."""


class _Cannot(Exception):
    """Why nothing can be attributed: a sentence."""


def attributions(artifact: Path, materials: Materials) -> Attributions:
    """Attribute the original's answer to the parts of some samples, in both models. Never raises for what cannot be."""
    try:
        return _attributions(artifact, materials)
    except _Cannot as why:
        return Attributions(why=str(why))
    except Refusal as refusal:
        return Attributions(why=refusal.problem.detail)


def _attributions(artifact: Path, materials: Materials) -> Attributions:
    samples = materials.samples(materials.data.evaluation or materials.data.calibration)
    if samples is None:
        raise _Cannot("there is no data to look at.")
    if materials.upload.is_large:
        raise _Cannot("the model is large.")
    spec = _input(materials, samples)
    first = Network(materials.upload.path, usable_threads(), "the original model")
    second = Network(artifact, first.threads, "the compressed model", first.batch_axes)
    evaluation = materials.options.evaluation
    output = (evaluation and evaluation.output) or first.outputs[0]
    method, makes = _method(artifact, materials, (first, second), spec.name, output)
    drawn = samples.draw(SAMPLES, materials.options.seed)
    entries = list(_entries(drawn, spec, first, output, method, makes))
    return Attributions(entries, method, spec.name, output)


def _input(materials: Materials, samples: Samples) -> TensorSpec:
    """The first input of floats that data is given for, one sample at a time. Raises `_Cannot`."""
    given = {column.spec.name for column in samples.columns}
    for spec in inputs_of(materials.upload.float32):
        if spec.name in given and spec.dtype == "float32":
            if spec.batch_axis != 0 or samples.fixed_batch not in (None, 1) or samples.rows_per_sample > 1:
                raise _Cannot("the model does not take one sample at a time, on the first axis.")
            return spec
    raise _Cannot("no input of the model is float32 numbers from the data.")


def _method(
    artifact: Path, materials: Materials, networks: tuple[Network, Network], name: str, output: str
) -> tuple[Method, tuple[Make, Make]]:
    """Gradients where both models have them, so that the same is compared with the same."""
    graphs = materials.upload.float32, model_files.load(artifact)
    before, after = (differentiable(graph, name, output) for graph in graphs)
    if before is not None and after is not None:
        return "integrated_gradients", (before, after)
    first, second = (runnable(network, name, output) for network in networks)
    return "occlusion", (first, second)


def _entries(
    samples: Samples,
    spec: TensorSpec,
    original: Network,
    output: str,
    method: Method,
    makes: tuple[Make, Make],
) -> Iterator[Attribution]:
    end = time.monotonic() + SECONDS
    alone = len(original.inputs) == 1 and not isinstance(spec.shape[0], int)
    rows = STEPS if alone else 1
    for row in samples.ordered_rows:
        feed = samples.at(np.array([row]))[0].feeds
        x, parts = feed[spec.name], parts_of(feed[spec.name].shape, 0)
        if parts.max() < 1:
            raise _Cannot("the input is a single number.")
        (answer,) = original.run(feed, [output])
        target = int(np.nan_to_num(answer.reshape(-1)).argmax())
        before, after = (
            summed(attributed(method, make(feed), x, parts, target, at_once=rows)[0], parts) for make in makes
        )
        yield Attribution(int(row), before, after, grid_of(x.shape, 0), _rank_correlation(before, after))
        if time.monotonic() > end:
            return


def _rank_correlation(x: Array, y: Array) -> float | None:
    """Spearman's; None where one of them ranks nothing."""
    if np.ptp(x) == 0 or np.ptp(y) == 0 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    value = float(spearmanr(x, y).statistic)
    return value if math.isfinite(value) else None
