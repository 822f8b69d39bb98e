"""Works out what an embedding table E [rows, width] could become: E ≈ A B, A [rows, r], B [r, width] (ALBERT).

    B Bᵀ = I, rows of B the first eigenvectors of Eᵀ P E;  A = E Bᵀ        minimises  Σ p_i |e_i - a_i B|²

P = diag(p): how often each row is looked up on the data, p_i ∝ n_i + 1, so that rows that were not seen count a little;
without data all rows alike. Rows that are looked up often are met best (GroupReduce). A head that is tied to the table
reads the same parts: h Eᵀ ≈ (h Bᵀ) Aᵀ.

Lan et al. 2020, "ALBERT" (factorised embeddings); Chen et al. 2018, "GroupReduce" (rows weighed by frequency).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

import numpy as np
import onnx_ir as ir

from winnow.contract.forecast.low_rank import MIN_TABLE_NUMBERS
from winnow.contract.recipe import LowRank
from worker.compression.data.samples import Samples
from worker.compression.graph.nodes.known_shapes import static_dims
from worker.compression.graph.tables.find import Table
from worker.compression.graph.tables.observe import Lookups
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import array_of
from worker.compression.low_rank.decompositions import Cost, Split, is_fast_rank
from worker.compression.low_rank.layer_study import Convolution, Factorisation, vbmf_rank_of
from worker.compression.low_rank.rank_allocation import Option

CHUNK_ROWS: Final = 1 << 14
"""Rows of which float64 copies are made at a time."""


@dataclass(frozen=True)
class TableGeometry:
    """`lookups` rows are gathered in one sample, `multiplied` is what products multiply by the whole table. `heads`:
    whether there are products, for which B is stored transposed too."""

    rows: int
    width: int
    lookups: int
    multiplied: int
    heads: bool

    @classmethod
    def of(cls, table: Table, shaped: Mapping[str, ir.Node]) -> "TableGeometry | None":
        """Read the sizes off the same nodes with known shapes; None where a shape is not known."""
        dims = [static_dims(shaped[str(node.name)].outputs[0]) for node in table.readers]
        if None in dims:
            return None
        counts = [prod(shape[:-1]) for shape in dims if shape is not None]
        gathers = len(table.gathers)
        return cls(*table.shape, sum(counts[:gathers]), sum(counts[gathers:]), bool(table.products))

    @classmethod
    def nominal(cls, table: Table) -> "TableGeometry":
        """Count each output as one place."""
        return cls(*table.shape, len(table.gathers), len(table.products), bool(table.products))

    @property
    def cost(self) -> Cost:
        size = self.rows * self.width
        return Cost(self.multiplied * size, size)

    def cost_of(self, split: Split) -> Cost:
        """Count what the table costs when it is split: a row that is looked up is multiplied by B."""
        (rank,) = split.ranks
        first, second = self.rows * rank, rank * self.width
        macs = self.lookups * second + self.multiplied * (first + second)
        return Cost(macs, first + second * (2 if self.heads else 1))


@dataclass
class TableStudy:
    """`counts` int [rows]: how often each row is looked up; None where the weights alone are fitted."""

    table: Table
    geometry: TableGeometry
    counts: Array | None = None

    @property
    def is_fitted_to_data(self) -> bool:
        return self.counts is not None

    def rank_options(self, convolution: Convolution) -> Iterator[Option]:
        """List every rank, and the share of the energy of what is looked up that is lost with it."""
        energies, total = self._energies, float(self._energies[-1])
        for rank, energy in enumerate(energies, 1):
            if is_fast_rank(rank):
                split = Split("svd", (rank,))
                lost = max(0.0, 1 - float(energy) / total) if total > 0 else 0.0
                yield Option(self.geometry.cost_of(split), split, lost, len(self.table.readers))

    def vbmf_options(self, convolution: Convolution) -> Iterator[Option]:
        """List the rank that the table has behind its noise; none where all is noise."""
        if rank := vbmf_rank_of(array_of(self.table.weight)[None]):
            split = Split("svd", (rank,))
            yield Option(self.geometry.cost_of(split), split)

    def factorised(self, split: Split) -> Factorisation:
        """Compute A [rows, r] and B [r, width], float64."""
        (rank,) = split.ranks
        basis = np.linalg.eigh(self._gram)[1][:, ::-1][:, :rank]
        rows = np.concatenate([chunk @ basis for chunk in self._chunks(array_of(self.table.weight))])
        total = float(self._energies[-1])
        lost = 1 - float(self._energies[rank - 1]) / total if total > 0 else 0.0
        return Factorisation(split, [rows, basis.T], None, max(0.0, lost))

    @cached_property
    def _energies(self) -> Array:
        """Cumulated eigenvalues of Eᵀ P E: what each rank keeps."""
        energies: Array = np.cumsum(np.linalg.eigvalsh(self._gram)[::-1].clip(0))
        return energies

    @cached_property
    def _gram(self) -> Array:
        """Eᵀ P E, float64 [width, width]."""
        rows, width = self.table.shape
        shares = np.ones(rows) if self.counts is None else self.counts + 1.0
        gram = np.zeros((width, width))
        both = zip(self._chunks(array_of(self.table.weight)), self._chunks(shares), strict=True)
        for chunk, share in both:
            gram += (chunk * share[:, None]).T @ chunk
        mean: Array = gram / shares.sum()
        return mean

    def _chunks(self, array: Array) -> Iterator[Array]:
        for start in range(0, len(array), CHUNK_ROWS):
            yield array[start : start + CHUNK_ROWS].astype(np.float64)


def count_lookups(model: ir.Model, studies: Sequence[TableStudy], samples: Samples) -> None:
    """Fill `counts` of each. Raises `model_does_not_run`."""
    if studies:
        looked_up = Lookups(model, [study.table for study in studies]).count([samples])
        for study, counts in zip(studies, looked_up.counts, strict=True):
            study.counts = counts


def why_no_table(table: Table, step: LowRank) -> str | None:
    """Say as a clause why the table cannot be a product, None where it can."""
    if table.read_otherwise is not None:
        return table.read_otherwise
    rows, width = table.shape
    if rows * width < MIN_TABLE_NUMBERS:
        return "its table is small"
    if any(node.attributes.get_int("transA", 0) for node in table.products):
        return "a product reads its data transposed"
    if step.rank == "macs" and not table.products:
        return (
            "a table that is only looked up has no multiplications to save: set rank to parameters or energy"
        )
    return None
