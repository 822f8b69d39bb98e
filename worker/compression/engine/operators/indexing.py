"""Values by index: gather and scatter. Indices below zero count from the end."""

import math
from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator
from worker.compression.engine.operators.arguments import constant

REDUCTIONS: Final = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def positive(index: torch.Tensor, size: int) -> torch.Tensor:
    """Make indices positive, as int64, which torch indexes with."""
    index = index.long()
    return torch.where(index < 0, index + size, index)


def gather(attributes: Attributes) -> Function:
    """Take x[…, index, …] along `axis`. An embedding (a table of rows) has a faster backward of its own."""
    axis, fixed = attributes.integer("axis", 0), constant(attributes, 1)
    if isinstance(fixed, int):
        return lambda x, index: x.select(axis, fixed)

    def run(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        place = axis % x.ndim
        index = positive(index, x.shape[place])
        if place == 0 and x.ndim == 2 and x.is_floating_point():
            return functional.embedding(index, x)
        taken = x.index_select(place, index.flatten())
        return taken.reshape(*x.shape[:place], *index.shape, *x.shape[place + 1 :])

    return run


def gather_elements(attributes: Attributes) -> Function:
    """Compute y[i, j, …] = x[index[i, j, …], j, …] for axis 0."""
    axis = attributes.integer("axis", 0)
    return lambda x, index: x.gather(axis, positive(index, x.shape[axis]))


def scatter_elements(attributes: Attributes) -> Function:
    """Write x[index[i, j, …], j, …] = update[i, j, …] for axis 0, or combined by `reduction`."""
    axis, reduction = attributes.integer("axis", 0), attributes.text("reduction", "none")

    def run(x: torch.Tensor, index: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        return _scattered(x, axis, positive(index, x.shape[axis]), update, reduction)

    return run


def _scattered(
    x: torch.Tensor, axis: int, index: torch.Tensor, update: torch.Tensor, reduction: str
) -> torch.Tensor:
    update = update.to(x.dtype)
    if reduction == "none":
        return x.scatter(axis, index, update)
    return x.scatter_reduce(axis, index, update, REDUCTIONS[reduction])


def gather_nd(attributes: Attributes) -> Function:
    """Compute y[b…, i…, :] = x[b…, index[b…, i…], :], with `batch_dims` axes b."""
    batch = attributes.integer("batch_dims", 0)

    def run(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        depth = index.shape[-1]
        places = _flat_places(index, x.shape[batch : batch + depth])
        rows = math.prod(x.shape[:batch])
        flat = x.reshape(rows, math.prod(x.shape[batch : batch + depth]), *x.shape[batch + depth :])
        which = torch.arange(rows, device=x.device)[:, None]
        taken = flat[which, places.reshape(rows, -1)]
        return taken.reshape(*index.shape[:-1], *x.shape[batch + depth :])

    return run


def scatter_nd(attributes: Attributes) -> Function:
    """Write x[index[i…], :] = update[i…, :], or combined by `reduction`."""
    reduction = attributes.text("reduction", "none")

    def run(x: torch.Tensor, index: torch.Tensor, update: torch.Tensor) -> torch.Tensor:
        depth = index.shape[-1]
        places = _flat_places(index, x.shape[:depth]).flatten()
        flat = x.reshape(math.prod(x.shape[:depth]), -1)
        rows = update.reshape(len(places), flat.shape[1])
        everywhere = places[:, None].expand_as(rows)
        return _scattered(flat, 0, everywhere, rows, reduction).reshape(x.shape)

    return run


def _flat_places(index: torch.Tensor, sizes: torch.Size) -> torch.Tensor:
    """Turn index tuples (the last axis) into axes of these sizes into indices of those axes flattened."""
    places = torch.zeros(index.shape[:-1], dtype=torch.int64, device=index.device)
    for i, size in enumerate(sizes):
        places = places * size + positive(index[..., i], size)
    return places


OPERATORS: Final[dict[str, Operator]] = {
    "Gather": Operator(gather, weights=(0,)),
    "GatherElements": Operator(gather_elements),
    "GatherND": Operator(gather_nd),
    "Scatter": Operator(scatter_elements),
    "ScatterElements": Operator(scatter_elements),
    "ScatterND": Operator(scatter_nd),
}
