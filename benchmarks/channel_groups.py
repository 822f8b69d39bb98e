"""`python -m benchmarks.channel_groups`: channel groups of every file of ../shared/models, and what they cost.

Every third channel of each group is cut; the result must pass the checker, shapes included, and run in ONNX Runtime
with outputs of the same shapes. Chains of 1,000 and 10,000 nodes tell how the time grows.
"""

import gc
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import shared_or_exit
from tests.support import graphs
from tests.support.channels import every_third
from tests.support.ort import run
from worker.compression.graph.channels import Groups, channel_groups, cut
from worker.compression.graph.facts.cost import macs
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files

MOST_SECONDS, MOST_RATIO, FEWEST_CUT = 5.0, 12.0, 9
WIDTH = 8
OPEN = {"silero-vad-op18.onnx": 576, "ppocrv3-det.onnx": 320}
"""What dimensions other than the batch's are in the run."""


@dataclass(frozen=True)
class Row:
    model: str
    nodes: int
    groups: int
    channels: int
    pinned: int
    seconds: float
    megabytes: float
    cut: str
    why: str


def main() -> None:
    rows = [_row(path) for path in sorted((shared_or_exit() / "models").glob("*.onnx"))]
    _print(rows)
    done = sum(row.cut.startswith("runs") for row in rows)
    slowest = max(rows, key=lambda row: row.seconds)
    print(f"{done} of {len(rows)} models cut and run, asked {FEWEST_CUT}: {_met(done >= FEWEST_CUT)}")
    print(
        f"slowest: {slowest.model}, {slowest.seconds:.2f} s, asked {MOST_SECONDS:.0f}: "
        f"{_met(slowest.seconds <= MOST_SECONDS)}"
    )
    small, large = _chain_seconds(1_000, 10_000)
    print(
        f"chain of 1,000 nodes {small:.2f} s, of 10,000 nodes {large:.2f} s, ratio {large / small:.1f}, "
        f"asked at most {MOST_RATIO:.0f}: {_met(large <= MOST_RATIO * small)}"
    )


def _row(path: Path) -> Row:
    model = normalise(model_files.load(path))
    groups, seconds = _timed(model)
    tracemalloc.start()
    channel_groups(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pinned = sum(entry.channels for entry in groups.pinned)
    reasons = list(dict.fromkeys(entry.reason for entry in groups.pinned))
    return Row(
        path.name,
        sum(1 for _ in ir.traversal.RecursiveGraphIterator(model.graph)),
        len(groups.groups),
        sum(len(group.channels) for group in groups.groups),
        pinned,
        seconds,
        peak / 2**20,
        _cut(model, groups, OPEN.get(path.name, 64)),
        "; ".join(reasons[:2]) + (f"; {len(reasons) - 2} more" if len(reasons) > 2 else ""),
    )


def _timed(model: ir.Model) -> tuple[Groups, float]:
    gc.collect()
    start = time.perf_counter()
    groups = channel_groups(model)
    return groups, time.perf_counter() - start


def _cut(model: ir.Model, groups: Groups, size: int) -> str:
    channels = every_third(groups)
    if not channels:
        return "nothing to cut"
    try:
        smaller = cut(model, channels)
        proto = ir.to_proto(smaller)
        onnx.checker.check_model(proto, full_check=True)
        feeds = {str(value.name): _zeros(value, size) for value in model.graph.inputs}
        if [a.shape for a in run(proto, feeds)] != [a.shape for a in run(model, feeds)]:
            return "other shapes"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    before, after = macs(model), macs(smaller)
    return "runs" if not before or not after else f"runs, MACs {after / before:.2f}×"


def _zeros(value: ir.Value, size: int) -> np.ndarray:
    assert value.shape is not None
    dims = [d if isinstance(d, int) else _open(axis, d, size) for axis, d in enumerate(value.shape)]
    return np.full(dims, 16000 if value.name == "sr" else 0, value.dtype.numpy())


def _open(axis: int, dim: ir.SymbolicDim, size: int) -> int:
    return 1 if axis == 0 or "batch" in str(dim.value) else size


def _chain_seconds(*nodes: int) -> list[float]:
    """The least of five each, in turns."""
    chains = [normalise(ir.from_proto(_chain(number))) for number in nodes]
    rounds = [[_timed(chain)[1] for chain in chains] for _ in range(5)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _chain(nodes: int) -> onnx.ModelProto:
    """Conv, Relu, and after each second pair a sum with what went into the first."""
    rng = np.random.default_rng(0)
    made: list[onnx.NodeProto] = []
    weights: dict[str, np.ndarray] = {}
    last, kept = "x", "x"
    while len(made) < nodes - 1:
        name = f"conv{len(made)}"
        weights[name + ".w"] = rng.standard_normal((WIDTH, 3 if last == "x" else WIDTH, 1, 1)).astype(
            np.float32
        )
        made += [
            helper.make_node("Conv", [last, name + ".w"], [name], name=name),
            helper.make_node("Relu", [name], [name + ".r"], name=name + ".relu"),
        ]
        last = name + ".r"
        if len(made) % 5 == 4 and kept != "x":
            made.append(helper.make_node("Add", [last, kept], [name + ".s"], name=name + ".add"))
            last = name + ".s"
        kept = last
    made.append(helper.make_node("GlobalAveragePool", [last], ["y"], name="pool"))
    return graphs.of(made, {"x": ["N", 3, 8, 8]}, {"y": ["N", WIDTH, 1, 1]}, weights)


def _print(rows: list[Row]) -> None:
    table = Table(title="channel groups of the shared models")
    names = (
        "model",
        "nodes",
        "groups",
        "channels",
        "pinned",
        "seconds",
        "peak MB",
        "a third cut",
        "what pins the rest",
    )
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row.model,
            *(str(number) for number in (row.nodes, row.groups, row.channels, row.pinned)),
            f"{row.seconds:.2f}",
            f"{row.megabytes:.0f}",
            row.cut,
            row.why,
        )
    Console(width=170).print(table)


def _met(holds: bool) -> str:
    return "met" if holds else "NOT met"


if __name__ == "__main__":
    main()
