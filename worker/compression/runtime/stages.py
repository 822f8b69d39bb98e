"""Runs a graph in stages over the same batches: each node once, in the first stage that needs it.

What later stages read of a stage's values is held until the last of them has. So weights may change between two stages,
as long as no stage before has read them; and of L values, one behind the other, all are there after one pass over the
data, where running what is in front of each takes L / 2 of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import onnx_ir as ir

from worker.compression.data.samples import Fed
from worker.compression.data.trimming import trimmed
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import subgraphs_of
from worker.compression.runtime.observe import Batches, Observer, finite_extremes, widths

Held = dict[str, Array]


@dataclass(frozen=True)
class Stage:
    """By name: what is `wanted` of it, what it `reads` that earlier stages or the data make, what it makes that is
    `kept` for later ones, and what nobody reads any more behind it."""

    wanted: list[str]
    reads: list[str]
    kept: list[str]
    done: list[str]


class Stages:
    """`wanted`: the values of each stage, by name, graph inputs too. What is held is in memory."""

    def __init__(self, model: ir.Model, wanted: Sequence[Sequence[str]]) -> None:
        self._model = model
        self.stages = _planned(model.graph, [list(dict.fromkeys(names)) for names in wanted])
        self._batches: Batches | None = None
        self._size = 1
        self._held: list[tuple[Fed, Held]] = []

    def bytes_per_sample(self, samples: Batches) -> tuple[float, float]:
        """How much is held at most between two stages, and how much is wanted of one, for each sample of the largest
        rows. Raises what `Observer` raises."""
        names = {name for stage in self.stages for name in (*stage.wanted, *stage.reads)}
        fed = next(samples.unpadded().largest().fed_batches(1))
        values = Observer(self._model, sorted(names)).observe(replace(fed, padded={}))
        sizes = {name: x.nbytes / fed.rows for name, x in zip(sorted(names), values, strict=True)}
        held, most = 0.0, 0.0
        for stage in self.stages:
            held += sum(sizes[name] for name in stage.kept)
            most = max(most, held)
            held -= sum(sizes[name] for name in stage.done)
        return most, max((sum(sizes[name] for name in stage.wanted) for stage in self.stages), default=0.0)

    def begin(self, samples: Batches, size: int) -> None:
        """These are run from here on, so many in a batch."""
        self._batches, self._size, self._held = samples.unpadded(), size, []

    def run(self, number: int) -> Iterator[list[Array]]:
        """Yield the values of a stage batch by batch, in the order in which they are wanted, without what was computed
        from padding. All stages go to their end, one after the other. Raises `model_does_not_run`, `not_finite`."""
        stage = self.stages[number]
        makes = [name for name in dict.fromkeys([*stage.wanted, *stage.kept]) if name not in stage.reads]
        observer: Observer | None = None
        for fed, held in self._fed(stage, first=number == 0):
            values = {name: held[name] if name in held else fed.feeds[name] for name in stage.reads}
            if makes:
                observer = observer or Observer(self._part(stage, makes, values), makes)
                made = observer.observe(Fed(values, fed.rows))
                values |= dict(zip(makes, made, strict=True))
            held |= {name: values[name] for name in stage.kept}
            for name in stage.done:
                held.pop(name, None)
            once = not self._widths.isdisjoint(fed.padded)
            wanted = [trimmed(values[name], fed.rows, fed.padded, once=once) for name in stage.wanted]
            for name, x in zip(stage.wanted, wanted, strict=True):
                finite_extremes(self._model, name, x)
            yield wanted

    def _fed(self, stage: Stage, *, first: bool) -> Iterator[tuple[Fed, Held]]:
        """The batches with what is held of each; the data is read only where a stage reads it."""
        assert self._batches is not None, "nothing was begun"
        inputs = {str(value.name) for value in self._model.graph.inputs}
        if not first and inputs.isdisjoint(stage.reads):
            yield from self._held
            return
        for place, fed in enumerate(self._batches.fed_batches(self._size)):
            if first:
                self._held.append((replace(fed, feeds={}), {}))
            yield fed, self._held[place][1]

    def _part(self, stage: Stage, makes: list[str], values: Held) -> ir.Model:
        """What a stage computes, as a model of its own; weights are those of now, and inputs as `values` are."""
        graph = ir.convenience.extract(self._model.graph, stage.reads, makes)
        inputs = {str(value.name) for value in self._model.graph.inputs}
        for value in graph.inputs:
            if value.name not in inputs:  # what was inferred of its shape may be of another batch
                value.shape = None
                value.type = value.type or ir.TensorType(
                    ir.DataType.from_numpy(values[str(value.name)].dtype)
                )
        return ir.Model(graph, ir_version=self._model.ir_version)

    @cached_property
    def _widths(self) -> set[int]:
        return widths(self._model)


def _planned(graph: ir.Graph, wanted: list[list[str]]) -> list[Stage]:
    values = ir.convenience.create_value_mapping(graph, include_subgraphs=False)
    maker: dict[str, int] = {}
    reads = [_read(values, names, maker, number) for number, names in enumerate(wanted)]
    last = {name: number for number, names in enumerate(reads) for name in names}
    inputs = {str(value.name) for value in graph.inputs}
    return [
        Stage(
            names,
            sorted(reads[number]),
            sorted(name for name in last if maker.get(name) == number < last[name]),
            sorted(name for name in reads[number] if last[name] == number and name not in inputs),
        )
        for number, names in enumerate(wanted)
    ]


def _read(values: dict[str, ir.Value], names: list[str], maker: dict[str, int], number: int) -> set[str]:
    """What the stage with this number reads of what earlier ones or the data make, to compute these values; notes what
    it makes itself."""
    read, waiting = set[str](), [values[name] for name in names]
    while waiting:
        value = waiting.pop()
        name, producer = str(value.name), value.producer()
        if value.is_graph_input() or maker.get(name, number) < number:
            read.add(name)
        elif producer is not None and maker.get(name) is None:
            maker |= {str(each.name): number for each in producer.outputs}
            waiting += [each for each in _inputs(producer) if values.get(str(each.name)) is each]
    return read


def _inputs(node: ir.Node) -> Iterator[ir.Value]:
    """What it reads, in its subgraphs too."""
    inside = (each for graph in subgraphs_of(node) for each in ir.traversal.RecursiveGraphIterator(graph))
    for reader in (node, *inside):
        yield from (value for value in reader.inputs if value is not None)
