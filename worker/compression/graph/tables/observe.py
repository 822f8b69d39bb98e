"""Counts how often each row of a table is looked up on data: only what lies in front of the tables is run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from winnow.contract.errors import Refusal
from worker.compression.data.samples import Samples
from worker.compression.graph.tables.find import Table
from worker.compression.graph.tables.places import Numbers
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import array_of, is_constant, required_input
from worker.compression.machine.threads import usable_threads
from worker.compression.runtime.session import open_cpu_session

BATCH: Final = 64


@dataclass(frozen=True)
class LookedUp:
    """How often each row of each table is looked up, int64 [rows], and the `places` among the inputs of the tables:
    those whose numbers are positions or segments on all of the data."""

    counts: list[Array]
    places: frozenset[str]


class Lookups:
    """The part of a model that says which rows of these tables are looked up. Raises `model_does_not_run`."""

    def __init__(self, model: ir.Model, tables: Sequence[Table]) -> None:
        self._tables = tables
        self._indices = [[required_input(node, 1) for node in table.gathers] for table in tables]
        computed = [v for row in self._indices for v in row if v.producer() is not None]
        part = _part(model, [str(value.name) for value in computed])
        self._computed = [str(value.name) for value in part.graph.outputs]
        self._inputs = {str(value.name) for value in part.graph.inputs}
        try:
            proto = ir.to_proto(part).SerializeToString()
            self._session = open_cpu_session(proto, threads=usable_threads()) if computed else None
        except Exception as error:  # ONNX Runtime's own types, which have no common base
            raise _broken(error) from error

    def count(self, data: Iterable[Samples]) -> "LookedUp":
        """Count the lookups of each row on all of the data. Raises `model_does_not_run`."""
        counts = [np.zeros(table.shape[0], np.int64) for table in self._tables]
        inputs = {name for table in self._tables for name in table.inputs}
        numbers = [Numbers(name) for name in inputs]
        needed = self._inputs | {str(v.name) for row in self._indices for v in row if v.is_graph_input()}
        for samples in data:
            for feeds in _only(samples, needed | inputs).batches(BATCH):
                for each in numbers:
                    each.add(feeds[each.name])
                self._add(counts, feeds)
        return LookedUp(counts, frozenset(each.name for each in numbers if each.count_places))

    def _add(self, counts: Sequence[Array], feeds: dict[str, Array]) -> None:
        values = feeds | self._run({name: x for name, x in feeds.items() if name in self._inputs})
        for total, indices in zip(counts, self._indices, strict=True):
            for index in indices:
                rows = array_of(index) if is_constant(index) else values[str(index.name)]
                total += np.bincount(rows.reshape(-1).astype(np.int64) % len(total), minlength=len(total))

    def _run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        if self._session is None:
            return {}
        try:
            return dict(zip(self._computed, self._session.run(self._computed, feeds), strict=True))
        except Exception as error:  # ONNX Runtime's own types, which have no common base
            raise _broken(error) from error


def _only(samples: Samples, names: set[str]) -> Samples:
    """The same samples of these inputs alone: no picture is read for the sake of words. All, where none is named."""
    columns = tuple(column for column in samples.columns if column.spec.name in names)
    constants = tuple(constant for constant in samples.constants if constant.spec.name in names)
    return replace(samples, columns=columns, constants=constants) if columns else samples


def _part(model: ir.Model, names: list[str]) -> ir.Model:
    """Copy what makes these values out of the inputs, and nothing else."""
    copy = model.clone()
    values = {value.name: value for node in copy.graph for value in node.outputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in dict.fromkeys(names))
    passes.RemoveUnusedNodesPass()(copy)
    used = [value for value in copy.graph.inputs if value.uses()]
    copy.graph.inputs.clear()
    copy.graph.inputs.extend(used)
    return copy


def _broken(error: Exception) -> Refusal:
    return Refusal(
        "model_does_not_run", f"ONNX Runtime cannot run what lies in front of the model's tables: {error}"
    )
