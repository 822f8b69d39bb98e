"""What finds, sorts, picks or runs along an axis."""

from collections.abc import Callable
from itertools import product
from typing import Final

import torch

from worker.compression.engine.operator import Attributes, Build, Function, Operator
from worker.compression.engine.operators.elementwise import plain
from worker.compression.engine.operators.indexing import positive


def one_hot(attributes: Attributes) -> Function:
    """values[1] where the new axis (of `depth`) is the index, values[0] elsewhere."""
    axis = attributes.integer("axis", -1)

    def run(index: torch.Tensor, depth: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        size = int(depth.item())
        place = axis % (index.ndim + 1)
        where = torch.arange(size, device=index.device).reshape(-1, *[1] * (index.ndim - place))
        return torch.where(positive(index, size).unsqueeze(place) == where, values[1], values[0])

    return run


def top_k(attributes: Attributes) -> Function:
    """The k largest (or smallest) along `axis`, sorted, and their indices: of equals the first."""
    axis, largest = attributes.integer("axis", -1), bool(attributes.integer("largest", 1))
    fixed = attributes.integer("k", 0)

    def run(x: torch.Tensor, k: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        count = fixed if k is None else int(k.item())
        values, places = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count), places.narrow(axis, 0, count)

    return run


def cumulative(function: Callable[..., torch.Tensor], neutral: float) -> Build:
    """The sum (product) of all values up to each; `exclusive`: before it, `reverse`: from the end."""

    def build(attributes: Attributes) -> Function:
        exclusive, reverse = attributes.integer("exclusive", 0), attributes.integer("reverse", 0)

        def run(x: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
            place = int(axis.item())
            x = x.flip(place) if reverse else x
            y: torch.Tensor = function(x, place, dtype=x.dtype)
            if exclusive:
                first = torch.full_like(y.narrow(place, 0, 1), neutral)
                y = torch.cat([first, y.narrow(place, 0, y.shape[place] - 1)], place)
            return y.flip(place) if reverse else y

        return run

    return build


def trilu(attributes: Attributes) -> Function:
    """The upper (lower) triangle of the last two axes, from diagonal k on."""
    function = torch.triu if attributes.integer("upper", 1) else torch.tril
    return lambda x, k=None: function(x, 0 if k is None else int(k.item()))


def compress(attributes: Attributes) -> Function:
    """The slices along `axis` (without: the values) whose condition holds."""
    axis = attributes.integer("axis", 0) if attributes.has("axis") else None

    def run(x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        along, place = (x.flatten(), 0) if axis is None else (x, axis)
        return along.index_select(place, condition.nonzero().flatten())

    return run


def reverse_sequence(attributes: Attributes) -> Function:
    """Along `time_axis`, the first lengths[b] values of each row b of `batch_axis` backwards."""
    time, batch = attributes.integer("time_axis", 0), attributes.integer("batch_axis", 1)

    def run(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return reversed_within(x.movedim((time, batch), (0, 1)), lengths).movedim((0, 1), (time, batch))

    return run


def reversed_within(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """x [T, N, …] with the first lengths[n] of the T values of each n backwards."""
    steps = torch.arange(x.shape[0], device=x.device)[:, None]
    backwards = lengths.to(x.device).long() - 1 - steps
    places = torch.where(backwards < 0, steps, backwards)
    return x[places, torch.arange(x.shape[1], device=x.device)]


def non_max_suppression(attributes: Attributes) -> Function:
    """[batch, class, box] of the boxes that no better one of their class covers by more than the threshold.

    Boxes [N, B, 4] are two corners (y, x each), or centre and size (x, y each); scores are [N, C, B].
    """
    centred = attributes.integer("center_point_box", 0)

    def run(
        boxes: torch.Tensor,
        scores: torch.Tensor,
        most: torch.Tensor | None = None,
        overlap: torch.Tensor | None = None,
        least: torch.Tensor | None = None,
    ) -> torch.Tensor:
        count = 0 if most is None else int(most.item())
        covered = 0.0 if overlap is None else float(overlap.item())
        lower, upper = _corners(boxes.detach(), bool(centred))
        selected = [
            (n, c, box)
            for n, c in product(range(scores.shape[0]), range(scores.shape[1]))
            for box in _best(lower[n], upper[n], scores[n, c], least, covered)[:count]
        ]
        return torch.tensor(selected, dtype=torch.int64, device=boxes.device).reshape(-1, 3)

    return run


def _corners(boxes: torch.Tensor, centred: bool) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = boxes[..., :2], boxes[..., 2:]
    if centred:
        return first - second / 2, first + second / 2
    return torch.minimum(first, second), torch.maximum(first, second)


def _best(
    lower: torch.Tensor, upper: torch.Tensor, scores: torch.Tensor, least: torch.Tensor | None, covered: float
) -> list[int]:
    remaining = torch.sort(scores, descending=True, stable=True).indices
    remaining = remaining if least is None else remaining[scores[remaining] > least.item()]
    area, chosen = (upper - lower).prod(-1), []
    while len(remaining):
        box, remaining = remaining[0], remaining[1:]
        chosen.append(int(box))
        sides = torch.minimum(upper[box], upper[remaining]) - torch.maximum(lower[box], lower[remaining])
        both = sides.clamp_min(0).prod(-1)
        remaining = remaining[both <= covered * (area[box] + area[remaining] - both)]
    return chosen


OPERATORS: Final[dict[str, Operator]] = {
    "OneHot": Operator(one_hot, host=(1,)),
    "TopK": Operator(top_k, host=(1,)),
    "CumSum": Operator(cumulative(torch.cumsum, 0), host=(1,)),
    "CumProd": Operator(cumulative(torch.cumprod, 1), host=(1,)),
    "Trilu": Operator(trilu, host=(1,)),
    "Compress": Operator(compress),
    "NonZero": Operator(plain(lambda x: torch.nonzero(x).T)),
    "NonMaxSuppression": Operator(non_max_suppression, host=(2, 3, 4)),
    "ReverseSequence": Operator(reverse_sequence, host=(1,)),
}
