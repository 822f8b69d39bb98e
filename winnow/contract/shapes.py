"""Which shape every input gets at a batch size.

The batch is the first axis of the inputs where the model leaves it open (`batch_axis` where the graph says otherwise).
Its symbolic name means the batch wherever else it stands (the LSTM state `[2, batch, 128]`). Every other open dimension
comes from `benchmark.shapes`, else from the data.
"""

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec

Dimension = int | str | None
Shapes = dict[str, tuple[int, ...]]


def input_shapes(
    specs: list[TensorSpec], batch: int, shapes: dict[str, list[int]], example: Shapes | None = None
) -> Shapes:
    """A concrete shape per input; `shapes` is `benchmark.shapes`, `example` the data's at any batch size.

    Refuses with `shape_needed`, `batch_size_fixed`, `unknown_input` and `inputs_do_not_fit`.
    """
    axes = batch_axes(specs)
    _check_given(specs, batch, shapes, axes)
    if not any(axes.values()):
        _check_fixed(specs, batch)
    return {
        spec.name: _shape(spec, batch, axes[spec.name], shapes.get(spec.name), (example or {}).get(spec.name))
        for spec in specs
    }


def batch_axes(specs: list[TensorSpec]) -> dict[str, set[int]]:
    """Per input the open axes that are the batch.

    Recurrent layouts [steps or directions, batch, features] are known by a fixed first and an open second of three
    axes: their second axis is the batch when no first axis is open, and when it has no name to tell otherwise.
    """
    several = any(len(s.shape) > 1 for s in specs)
    leading = [s.shape[s.batch_axis or 0] for s in specs if len(s.shape) > 1 or (s.shape and not several)]
    front: list[Dimension] = [d for d in leading if not isinstance(d, int)]
    names: set[Dimension] = {
        d for d in front or [s.shape[1] for s in specs if _recurrent(s.shape)] if d is not None
    }
    return {s.name: _batch_axes(s.shape, s.batch_axis or 0, names) for s in specs}


def _batch_axes(shape: list[Dimension], front: int, names: set[Dimension]) -> set[int]:
    named = {axis for axis, d in enumerate(shape) if d in names}
    if named or not shape:
        return named
    if shape[front] is None:
        return {front}
    return {1} if _recurrent(shape) and shape[1] is None else set()


def _recurrent(shape: list[Dimension]) -> bool:
    return len(shape) == 3 and isinstance(shape[0], int) and not isinstance(shape[1], int)


def _shape(
    spec: TensorSpec, batch: int, axes: set[int], shapes: list[int] | None, example: tuple[int, ...] | None
) -> tuple[int, ...]:
    if shapes is not None:
        return tuple(batch if axis in axes and n == 1 else n for axis, n in enumerate(shapes))
    known: list[Dimension] = [batch if axis in axes else d for axis, d in enumerate(spec.shape)]
    if example is not None and len(example) == len(known):
        known = [d if isinstance(d, int) else n for d, n in zip(known, example, strict=True)]
    fixed = tuple(d for d in known if isinstance(d, int))
    if len(fixed) < len(known):
        raise _needed(spec, known)
    return fixed


def _needed(spec: TensorSpec, known: list[Dimension]) -> Refusal:
    missing = [
        f"{axis} ({d!r})" if d else str(axis) for axis, d in enumerate(known) if not isinstance(d, int)
    ]
    example = [d if isinstance(d, int) else 320 for d in known]
    return Refusal(
        "shape_needed",
        f"Input {spec.name!r} takes {spec.dtype} {spec.shape}, and neither the data nor benchmark.shapes says "
        f"how large dimension {' and '.join(missing)} is. Give the whole shape, for example "
        f'"benchmark": {{"shapes": {{"{spec.name}": {example}}}}}.',
        field=f"benchmark.shapes.{spec.name}",
    )


def _check_given(
    specs: list[TensorSpec], batch: int, shapes: dict[str, list[int]], axes: dict[str, set[int]]
) -> None:
    by_name = {spec.name: spec for spec in specs}
    for name, shape in shapes.items():
        field = f"benchmark.shapes.{name}"
        if name not in by_name:
            raise Refusal(
                "unknown_input", f"The model has no input {name!r}; it has {_names(specs)}.", field=field
            )
        wanted = by_name[name].shape
        if len(shape) != len(wanted) or any(
            isinstance(w, int) and w != n for w, n in zip(wanted, shape, strict=True)
        ):
            raise Refusal("inputs_do_not_fit", f"Input {name!r} takes {wanted}, not {shape}.", field=field)
        if len(shape) > 1 and any(shape[axis] not in (1, batch) for axis in axes[name]):
            raise Refusal(
                "inputs_do_not_fit",
                f"The shape {shape} of {name!r} has another batch size than benchmark.batch_sizes, which asks "
                f"for {batch}. Write 1 there: every batch size is put in its place.",
                field=field,
            )


def _check_fixed(specs: list[TensorSpec], batch: int) -> None:
    """Nothing is open in front, so the first axis of the first input that has one is the batch."""
    fixed = next((s for s in specs if len(s.shape) > 1 and isinstance(_batch(s), int)), None)
    if fixed is not None and _batch(fixed) != batch:
        raise Refusal(
            "batch_size_fixed",
            f"Input {fixed.name!r} takes {fixed.shape}: the batch size is fixed to {_batch(fixed)}, and "
            f"benchmark.batch_sizes asks for {batch}. Ask for [{_batch(fixed)}].",
            field="benchmark.batch_sizes",
        )


def _batch(spec: TensorSpec) -> Dimension:
    return spec.shape[spec.batch_axis or 0]


def _names(specs: list[TensorSpec]) -> str:
    return ", ".join(repr(spec.name) for spec in specs) or "none"
