"""Which nodes of a half-precision graph must compute in float32, found by running both graphs on samples.

A node is an island when

    max |x| > SAFE · 65504           of one of its floats, in the float32 graph: data not seen here may go further,
    x finite, x in float16 infinite  or NaN, though all that it read was finite: it overflowed inside.

The second is looked for in the converted graph, and again after each widening, until nothing overflows. An island that
is still not finite has read too little of what float16 left over: what made its inputs becomes one too. What is held of
a value is one number. Without data random numbers stand in (`Random`),
and only the second is asked: how far values go, they do not tell.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.half_precision.float16_ports import Ports, is_tensor
from worker.compression.runtime.observe import Batches, Observer

LARGEST: Final = float(np.finfo(np.float16).max)
SAFE: Final = 0.5
SAMPLES: Final = 256
DATA: Final = "the calibration data"
FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16})

Convert = Callable[[set[int]], tuple[ir.Model, list[ir.Node]]]
"""In half precision but for the nodes at these positions; and where each node of the original went, in its order."""


@dataclass(frozen=True)
class Random:
    """Feeds of random numbers, each a batch."""

    feeds: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.feeds)

    def take(self, n: int) -> "Random":
        return Random(self.feeds[:n])

    def batches(self, _: int) -> Iterator[dict[str, Any]]:
        yield from self.feeds

    def counted_batches(self, _: int) -> Iterator[tuple[dict[str, Any], int]]:
        yield from ((feed, 1) for feed in self.feeds)


def islands(
    model: ir.Model, halves: dict[ir.Node, Ports], samples: Batches, convert: Convert, data: str = DATA
) -> dict[ir.Node, str]:
    """Each node that stays float32, and why, with `data` as the name of the samples. `model` is not changed.

    Raises `model_does_not_run`.
    """
    nodes = list(model.graph)
    reach = _reach(model, samples)
    near = [] if isinstance(samples, Random) else halves
    found = {node: why for node in near if (why := _too_large(node, halves[node], reach, data)) is not None}
    while True:
        converted, places = convert({place for place, node in enumerate(nodes) if node in found})
        origin = dict(zip(places, nodes, strict=True))
        began = {origin[node] for node in _began(converted, origin, samples, reach) if node in origin}
        new, why = _next(began, halves.keys() - found.keys(), data)
        if not new:
            return found
        found |= dict.fromkeys((node for node in nodes if node in new), why)


def _next(began: set[ir.Node], halves: set[ir.Node], data: str) -> tuple[set[ir.Node], str]:
    """What goes to float32 next: the nodes that broke, else what made their inputs, else all that stands before."""
    if new := began & halves:
        return new, f"overflowed when it was computed in float16 on {data}"
    if new := halves.intersection(_makers(began)):
        return new, "made a value whose float16 form broke a node that reads it"
    return halves.intersection(_ancestors(began)), "stands before a node that broke on its float16 values"


def _ancestors(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """All that these depend on."""
    found: dict[ir.Node, None] = {}
    waiting = _makers(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting += _makers([node])
    return list(found)


def _makers(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """The nodes whose results these read."""
    makers = (value.producer() for node in nodes for value in node.inputs if value is not None)
    return list(dict.fromkeys(maker for maker in makers if maker is not None))


def _too_large(node: ir.Node, ports: Ports, reach: dict[str, float], data: str) -> str | None:
    values = [node.inputs[i] for i in ports.inputs] + [node.outputs[i] for i in ports.outputs]
    reached = [reach.get(str(value.name), 0.0) for value in values if value is not None]
    largest = max((x for x in reached if np.isfinite(x)), default=0.0)
    if largest <= SAFE * LARGEST:
        return None
    return f"reached {largest:.4g} on {data}, and float16 ends at {LARGEST:g}"


def _reach(model: ir.Model, samples: Batches) -> dict[str, float]:
    """max |x| of every float that is given or computed; infinity where the float32 graph itself has it, or NaN."""
    values = [*model.graph.inputs, *_outputs(model)]
    return _extremes(model, [value for value in values if value.dtype == ir.DataType.FLOAT], samples)


def _began(
    converted: ir.Model, origin: dict[ir.Node, ir.Node], samples: Batches, reach: dict[str, float]
) -> Iterator[ir.Node]:
    """The nodes that made the first values that are not finite here but were in float32; readers for a Cast."""
    observed = [value for value in _outputs(converted) if value.dtype in FLOATS]
    extremes = _extremes(converted, observed, samples)
    broken = {value for value in observed if not np.isfinite(extremes[str(value.name)])}
    for node in converted.graph:
        lost = [value for value in node.outputs if value in broken]
        if not lost or any(value in broken for value in node.inputs):
            continue
        if node not in origin:
            yield from (use.node for value in lost for use in value.uses())
        elif all(np.isfinite(reach[str(v.name)]) for v in origin[node].outputs if str(v.name) in reach):
            yield node
        else:
            broken.difference_update(lost)  # as in float32: what its readers lose is theirs


def _outputs(model: ir.Model) -> Iterator[ir.Value]:
    return (value for node in model.graph for value in node.outputs if value.name and is_tensor(value))


def _extremes(model: ir.Model, values: list[ir.Value], samples: Batches) -> dict[str, float]:
    """max |x| by name; infinity where one is not finite."""
    names = list(dict.fromkeys(str(value.name) for value in values))
    largest = dict.fromkeys(names, 0.0)
    for seen in Observer(model, names).run(samples, checked=True):
        for name, x in zip(names, seen.values, strict=True):
            most = max(float(x.max(initial=0)), -float(x.min(initial=0)))
            largest[name] = max(largest[name], most if np.isfinite(most) else np.inf)
    return largest
