"""Finds the nodes of a half-precision graph that overflow, by running both graphs on samples: they stay in float32.

A node stays in float32 (an island in half precision) when

    max |x| > SAFE_SHARE · 65504           of a float of its, in the float32 graph: data not seen here may go further,
    x finite, x in float16 infinite  or NaN, though all that it read was finite: it overflowed inside.

The second is looked for in the converted graph, and again after each widening, until nothing overflows. An island that
is still not finite has read too little of what float16 left over: what made its inputs becomes one too. Branches and
bodies are one node here: all that is in them stays in float32 where it breaks. What is held of a value is one number.
Without data random numbers stand in (`RandomFeeds`), and only the second is asked: how far values go, they do not tell.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.data.samples import Fed
from worker.compression.half_precision.casting import MAX_BFLOAT16, is_end
from worker.compression.half_precision.float16_ports import Ports, is_tensor
from worker.compression.ir.values import all_nodes, subgraphs_of
from worker.compression.runtime.observe import Batches, Observer

MAX_FLOAT16: Final = float(np.finfo(np.float16).max)
SAFE_SHARE: Final = 0.5
MAX_SAMPLES: Final = 256
CALIBRATION_DATA: Final = "the calibration data"
FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16})

Convert = Callable[[set[int]], tuple[ir.Model, list[ir.Node]]]
"""In half precision but for the nodes at these positions; and where each node of the original went, in its order."""


@dataclass(frozen=True)
class RandomFeeds:
    """Feeds of random numbers, each a batch."""

    feeds: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.feeds)

    def take(self, n: int) -> "RandomFeeds":
        return RandomFeeds(self.feeds[:n])

    def batches(self, _: int) -> Iterator[dict[str, Any]]:
        yield from self.feeds

    def unpadded(self) -> "RandomFeeds":
        return self

    def largest(self) -> "RandomFeeds":
        return self.take(1)

    def fed_batches(self, _: int) -> Iterator[Fed]:
        yield from (Fed(feed, 1) for feed in self.feeds)


def overflowing_nodes(
    model: ir.Model,
    halves: dict[ir.Node, Ports],
    samples: Batches,
    convert: Convert,
    data: str = CALIBRATION_DATA,
    *,
    runs_in_half: bool = True,
) -> dict[ir.Node, str]:
    """Find each node that stays float32, and why, with `data` as the name of the samples. `model` is not changed. Where
    the converted graph is not to run, by the float32 graph alone.

    Raises `model_does_not_run`.
    """
    nodes = list(all_nodes(model))
    magnitudes = _float32_magnitudes(model, samples)
    judged = [] if isinstance(samples, RandomFeeds) else halves
    wide = {n: why for n in judged if (why := _too_large(n, halves[n], magnitudes, data)) is not None}
    while runs_in_half:
        converted, twins = convert({position for position, node in enumerate(nodes) if node in wide})
        origin = dict(zip(twins, nodes, strict=True))
        first = {origin[n] for n in _first_broken(converted, origin, samples, magnitudes) if n in origin}
        first |= {inner for node in first for inner in _inside(node)}
        new, why = _next_to_widen(first, halves.keys() - wide.keys(), data)
        if not new:
            return wide
        wide |= dict.fromkeys((node for node in nodes if node in new), why)
    return wide


def _inside(node: ir.Node) -> Iterator[ir.Node]:
    """Yield what is in a node's branches or body: their values are not observed, so all of it may have broken."""
    for graph in subgraphs_of(node):
        yield from ir.traversal.RecursiveGraphIterator(graph)


def _next_to_widen(broken: set[ir.Node], halves: set[ir.Node], data: str) -> tuple[set[ir.Node], str]:
    """Choose what goes to float32 next: the nodes that broke, else what made their inputs, else all that stands before
    them."""
    if new := broken & halves:
        return new, f"overflowed when it was computed in float16 on {data}"
    if new := halves.intersection(_makers(broken)):
        return new, "made a value whose float16 form broke a node that reads it"
    return halves.intersection(_ancestors(broken)), "stands before a node that broke on its float16 values"


def _ancestors(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """List all nodes that these depend on."""
    ancestors: dict[ir.Node, None] = {}
    waiting = _makers(nodes)
    while waiting:
        node = waiting.pop()
        if node not in ancestors:
            ancestors[node] = None
            waiting += _makers([node])
    return list(ancestors)


def _makers(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """List the nodes whose results these read."""
    makers = (value.producer() for node in nodes for value in node.inputs if value is not None)
    return list(dict.fromkeys(maker for maker in makers if maker is not None))


def _too_large(node: ir.Node, ports: Ports, magnitudes: dict[str, float], data: str) -> str | None:
    values = [node.inputs[i] for i in ports.inputs] + [node.outputs[i] for i in ports.outputs]
    reached = [magnitudes.get(str(value.name), 0.0) for value in values if value is not None]
    largest = max((x for x in reached if np.isfinite(x)), default=0.0)
    if largest <= SAFE_SHARE * MAX_FLOAT16:
        return None
    return f"reached {largest:.4g} on {data}, and float16 ends at {MAX_FLOAT16:g}"


def _float32_magnitudes(model: ir.Model, samples: Batches) -> dict[str, float]:
    """Measure max |x| of every float that is fed or computed; infinity where float32 itself has it, or NaN."""
    values = [*model.graph.inputs, *_outputs(model)]
    return _magnitudes(model, [value for value in values if value.dtype == ir.DataType.FLOAT], samples)


def _first_broken(
    converted: ir.Model, origin: dict[ir.Node, ir.Node], samples: Batches, magnitudes: dict[str, float]
) -> Iterator[ir.Node]:
    """Find the nodes that make the first values that are not finite here but were in float32; readers for a Cast."""
    observed = [value for value in _outputs(converted) if value.dtype in FLOATS]
    in_half = _magnitudes(converted, observed, samples)
    broken = {value for value in observed if not np.isfinite(in_half[str(value.name)])}
    for node in converted.graph:
        lost = [value for value in node.outputs if value in broken]
        if not lost or any(value in broken for value in node.inputs):
            continue
        if node not in origin:
            yield from (use.node for value in lost for use in value.uses())
        elif all(
            np.isfinite(magnitudes[str(v.name)]) for v in origin[node].outputs if str(v.name) in magnitudes
        ):
            yield node
        else:
            broken.difference_update(lost)  # as in float32: what its readers lose is theirs


def _outputs(model: ir.Model) -> Iterator[ir.Value]:
    return (value for node in model.graph for value in node.outputs if value.name and is_tensor(value))


def _magnitudes(model: ir.Model, values: list[ir.Value], samples: Batches) -> dict[str, float]:
    """Measure max |x| by name, without ends (`is_end`); infinity where one is not finite."""
    names = list(dict.fromkeys(str(value.name) for value in values))
    largest = dict.fromkeys(names, 0.0)
    for seen in Observer(model, names).run(samples, checked=True):
        for name, x in zip(names, seen.values, strict=True):
            most = _most(x)
            if MAX_BFLOAT16 <= most < np.inf:
                most = _most(x[~is_end(x)])
            largest[name] = max(largest[name], most if np.isfinite(most) else np.inf)
    return largest


def _most(x: npt.NDArray[np.floating]) -> float:
    return max(float(x.max(initial=0)), -float(x.min(initial=0)))
