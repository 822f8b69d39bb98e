"""Measures how long each layer takes by the runtime's own profile: one thread, the lowest tenth of the runs.

Under the machine's measuring lock, in a quiet moment; nothing is told of a time beside which others used the CPUs.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.measure.network import Feed
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.measure.timing.interleaved import FAST_QUANTILE
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.onnx_files import model_files
from worker.compression.runtime.node_times import NodeTimes, node_times

RENAMED = re.compile(r"(_token_\d+|_nchwc|/.*Fusion.*|/WithoutBiases)$")
"""What ONNX Runtime puts behind a name when it fuses a node or changes its layout, OpenVINO when it fuses a bias."""


def layer_times(
    model: ir.Model,
    feed: Feed,
    names: Iterable[str],
    folder: Path,
    patience: Patience,
    target: Target = DEFAULT_TARGET,
) -> dict[str, float]:
    """Measure the milliseconds of each of these nodes, what was fused into it included, as far as it can be told."""
    times: dict[str, float] = defaultdict(float)
    layer_of = layers_by_profiled_name(model, names)
    for name, milliseconds in profile(model, feed, folder, patience, target).items():
        if (layer := layer_of(name)) is not None:
            times[layer] += milliseconds
    return dict(times)


def layers_by_profiled_name(model: ir.Model, names: Iterable[str]) -> Callable[[str], str | None]:
    """Make a function from a node of the profile to the one of these layers that it is, or was fused into."""
    wanted = set(names)
    owners = _owners(model, wanted)

    def layer_of(name: str) -> str | None:
        short = graph_name(name)
        return short if short in wanted else owners.get(short)

    return layer_of


def graph_name(name: str) -> str:
    """Return the name that a node of the profile had in the graph."""
    return RENAMED.sub("", name)


def profile(
    model: ir.Model, feed: Feed, folder: Path, patience: Patience, target: Target = DEFAULT_TARGET
) -> dict[str, float]:
    """Measure the milliseconds of each node of the optimized graph; of none where the machine was too busy."""
    with measuring(patience.progress, patience.lock_seconds):
        times, untold = patience.until_quiet(
            lambda: _profiled(model, feed, folder, target), lambda result: result[1]
        )
    if untold:
        return {}
    return {name: float(np.quantile(runs, FAST_QUANTILE)) for name, runs in times.items()}


def _profiled(model: ir.Model, feed: Feed, folder: Path, target: Target) -> tuple[NodeTimes, str | None]:
    """Measure the milliseconds of each run, by node, and why they tell nothing, None where they do."""
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "model.onnx"
        model_files.save(model, path)
        watch = Watch()
        times = node_times(path, feed, target)
        return times, watch.seen().why_untold()


def _owners(model: ir.Model, wanted: set[str]) -> dict[str, str]:
    """Map each value to the layer that computes it, alone or with element-wise functions that may be fused into it."""
    owners: dict[str, str] = {}
    for node in model.graph:
        fed = [owners[str(v.name)] for v in node.inputs if v is not None and str(v.name) in owners]
        owner = str(node.name) if node.name in wanted else fed[0] if len(fed) == 1 else None
        if owner is not None:
            owners |= {str(value.name): owner for value in node.outputs if value.name}
    return owners
