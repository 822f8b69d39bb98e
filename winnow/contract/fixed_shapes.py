"""The inputs of a model once sizes of them are fixed: what `fix_shapes` of a recipe's steps makes of them.

A name is that of a size that varies, which may stand in several inputs, or that of an input, for its whole shape. An
input's whole shape also says what its names mean in the others.
"""

from collections.abc import Iterable, Iterator, Mapping

from winnow.contract.errors import Refusal, Refusals
from winnow.contract.model import ModelFacts, TensorSpec
from winnow.contract.recipe import AnyStep, Distillation, Simplify

Wanted = Mapping[str, int | list[int]]


def fixed_by_steps(model: ModelFacts, steps: Iterable[AnyStep]) -> ModelFacts:
    """Return an upload as the steps of a recipe see it. Raises what `inputs_fixed_by_steps` does."""
    return model.model_copy(update={"inputs": inputs_fixed_by_steps(model.inputs, steps)})


def inputs_fixed_by_steps(inputs: list[TensorSpec], steps: Iterable[AnyStep]) -> list[TensorSpec]:
    """Fix the sizes of an upload's inputs that the steps of a recipe name.

    Raises what `with_fixed_shapes` does, and `wrong_order` behind a student, whose inputs are others.
    """
    student: int | None = None
    for index, step in enumerate(steps):
        if isinstance(step, Distillation) and step.student is not None:
            student = index
        if not isinstance(step, Simplify) or not step.fix_shapes:
            continue
        field = f"recipe.steps.{index}.fix_shapes"
        if student is not None:
            detail = (
                f"fix_shapes is about the inputs of the model that the job compresses, and step {student} puts a "
                "student in its place. Upload the student with its sizes fixed, or leave fix_shapes out."
            )
            raise Refusal("wrong_order", detail, field=field)
        inputs = with_fixed_shapes(inputs, step.fix_shapes, field)
    return inputs


def with_fixed_shapes(inputs: list[TensorSpec], wanted: Wanted, field: str) -> list[TensorSpec]:
    """Return the inputs with numbers in place of what is named.

    Raises `Refusal` with every fault below `field`: `unknown_input` for a name that neither a size nor an input has,
    `inputs_do_not_fit` for a shape that is none of its input, and for a size that is to be two numbers.
    """
    by_name, sizes, refusals = {spec.name: spec for spec in inputs}, dict[str, int](), Refusals()
    names = {dim for spec in inputs for dim in spec.shape if isinstance(dim, str)}
    for name, value in wanted.items():
        with refusals:
            if isinstance(value, list):
                _check_whole(name, value, by_name, names, f"{field}.{name}")
                _say(sizes, _meant(by_name[name], value), f"{field}.{name}")
            elif name in names:
                _say(sizes, [(name, value)], f"{field}.{name}")
            else:
                raise _unknown(name, by_name, names, f"{field}.{name}")
    refusals.raise_all()
    return [_fixed(spec, wanted.get(spec.name), sizes) for spec in inputs]


def _fixed(spec: TensorSpec, whole: int | list[int] | None, sizes: Mapping[str, int]) -> TensorSpec:
    if isinstance(whole, list):
        return spec.model_copy(update={"shape": list(whole)})
    shape = [sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in spec.shape]
    return spec.model_copy(update={"shape": shape})


def _meant(spec: TensorSpec, whole: list[int]) -> Iterator[tuple[str, int]]:
    """What each name in an input's shape means when it has this one."""
    pairs = zip(spec.shape, whole, strict=True)
    yield from ((dim, size) for dim, size in pairs if isinstance(dim, str))


def _say(sizes: dict[str, int], more: Iterable[tuple[str, int]], field: str) -> None:
    for name, size in more:
        if sizes.setdefault(name, size) != size:
            detail = f"The size {name!r} cannot be {sizes[name]} and {size}: give it one number."
            raise Refusal("inputs_do_not_fit", detail, field=field)


def _check_whole(
    name: str, whole: list[int], by_name: Mapping[str, TensorSpec], names: set[str], field: str
) -> None:
    if name not in by_name:
        if name in names:
            detail = f"{name!r} is a size, which a single number fixes, not the shape {whole}."
            raise Refusal("inputs_do_not_fit", detail, field=field)
        raise _unknown(name, by_name, names, field)
    shape = by_name[name].shape
    fits = len(shape) == len(whole) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(shape, whole, strict=True)
    )
    if not fits:
        shown = ["?" if dim is None else dim for dim in shape]
        detail = f"The input {name!r} takes {shown}, not {whole}: give as many sizes, those that are fixed as they are."
        raise Refusal("inputs_do_not_fit", detail, field=field)


def _unknown(name: str, by_name: Mapping[str, TensorSpec], names: set[str], field: str) -> Refusal:
    if name in by_name:
        detail = f"{name!r} is an input: its whole shape is fixed by a list of sizes, as {_example(by_name[name])}."
        return Refusal("inputs_do_not_fit", detail, field=field)
    sizes = ", ".join(repr(size) for size in sorted(names)) or "none"
    shapes = ", ".join(f"{spec.name!r} {spec.shape}" for spec in by_name.values())
    detail = (
        f"No size of the model that varies is called {name!r}, and no input is. Sizes that vary: {sizes}; inputs: "
        f"{shapes}. A size without a name is fixed by the whole shape of its input."
    )
    return Refusal("unknown_input", detail, field=field)


def _example(spec: TensorSpec) -> list[int]:
    return [dim if isinstance(dim, int) else 1 for dim in spec.shape]
