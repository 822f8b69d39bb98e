"""Does a dataset fit a model? Asked of the facts here, of the arrays in `worker.compression.data.open`: by one law,
the public functions from `check_map` on.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from winnow.contract.data_uses import DataUse
from winnow.contract.dataset import ArrayFacts, DatasetFacts, DatasetInput
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.model import ModelFacts, TensorSpec

RANK: Final = {"bool": 0, "uint": 1, "int": 1, "float": 2}
"""An input takes numbers whose kind ranks no higher than its own."""

STATE: Final = "state"
"""The dtype of inputs that are carried from an output of the model: they have its type and shape."""

Size = TypeVar("Size", int, int | None)

INTEGERS: Final = ("bool", "uint", "int")

UNLABELLED: Final = -1
"""In place of the class number of a sample, or of a place in it, that has no label."""


def check_data(field: str, use: DataUse, model: ModelFacts, dataset: DatasetFacts) -> None:
    """Raises `unknown_input`, `inputs_do_not_fit`, `not_finite`, `empty_slice`, `slice_beyond_data`."""
    check_map(use.map, model.inputs, field)
    arrays = set()
    for spec in model.inputs:
        offer = _input_of(field, use, spec, dataset)
        if offer.dtype == STATE:
            continue
        check_kind(spec, offer.dtype, field)
        if offer.array is not None:
            arrays.add(offer.array)
            _check_shape(field, spec, offer)
            check_finite(field, use, offer.array, dataset.arrays[offer.array])
    if not arrays:
        raise Refusal(
            "inputs_do_not_fit", "No input of the model is made from an array of the dataset.", field=field
        )
    chosen_rows(use.slice, dataset.samples, _batch(field, model, use, dataset), field)


def check_labels(
    use: DataUse, evaluation: Evaluation, output: TensorSpec | None, dataset: DatasetFacts
) -> None:
    """Check what facts tell of the labels for the task; the worker looks at the rest before it begins.

    Raises `missing_data`, `labels_do_not_fit`, `not_finite`.
    """
    field, task = "data.evaluation", evaluation.named_task
    names = ", ".join(evaluation.metrics) or str(task)
    if dataset.target is None:
        if evaluation.needs_labels and task not in ("embedding", "language"):
            raise Refusal(
                "missing_data",
                f"The metric {names} needs labels, but the dataset has none. Add an array 'labels', name one in its "
                "declaration under targets, or judge by the metric agreement, which needs none.",
                field=field,
            )
        return
    labels = dataset.arrays.get(dataset.target)
    if labels is None or (not evaluation.needs_labels and evaluation.metric is not None):
        return
    metric = evaluation.metric or f"the task {task}"
    check_finite(field, use, dataset.target, labels)
    match task:
        case "regression":
            _check_numbers(field, metric, dataset.target, labels, output)
        case "classification":
            _check_class_metric(use, metric, dataset.target, labels, output)
        case "multilabel" | "embedding" | "segmentation" | "anomaly" | "language":
            check_numeric(field, metric, dataset.target, labels)
        case _:
            pass


def _check_class_metric(
    use: DataUse, metric: str, name: str, labels: ArrayFacts, output: TensorSpec | None
) -> None:
    field = "data.evaluation"
    check_numeric(field, metric, name, labels)
    _check_scores(metric, output)
    if not holds_classes(labels):
        detail = (
            f"{metric} needs class numbers, whole numbers from 0; {name!r} is {labels.dtype} with fractions. "
            "Give the number of the class, or one-hot rows; for reals there is the metric mse."
        )
        raise Refusal("labels_do_not_fit", detail, field=field)
    _check_classes(use, metric, name, labels, output)


def check_split(field: str, use: DataUse, model: ModelFacts, dataset: DatasetFacts) -> None:
    """Raises `too_few_samples`."""
    check_quarters(dataset.samples, _batch(field, model, use, dataset), field)


def check_quarters(samples: int, batch: int, field: str | None = "data.dataset") -> None:
    """Every quarter of the data fills a batch. Raises `too_few_samples`."""
    if samples < 4 * batch:
        at_once = f" (the model takes {batch} at a time)" if batch > 1 else ""
        raise Refusal(
            "too_few_samples",
            f"The dataset has {samples} samples; to be split into half, a quarter and a quarter it needs {4 * batch}"
            f"{at_once}. Upload more, or give calibration and evaluation data yourself.",
            field=field,
        )


def shapes(use: DataUse, model: ModelFacts, dataset: DatasetFacts) -> dict[str, tuple[int, ...]]:
    """The shape that the data gives each input, at batch size 1; 1 along axes that differ from sample to sample."""
    found = {}
    for spec in model.inputs:
        offer = dataset.inputs.get(use.map.get(spec.name, spec.name))
        if offer is not None and offer.array is not None:
            shape = offer.shape if _whole(spec, offer) else with_batch(spec, offer.shape, 1)
            found[spec.name] = tuple(1 if size is None else size for size in shape)
    return found


def _input_of(field: str, use: DataUse, spec: TensorSpec, dataset: DatasetFacts) -> DatasetInput:
    name = use.map.get(spec.name, spec.name)
    if name not in dataset.inputs:
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} ({spec_text(spec)}) needs {name!r}, but the dataset has "
            f'{listed(dataset.inputs)}. Name one of them, for example "map": '
            f'{{"{spec.name}": "{next(iter(dataset.inputs), "…")}"}}, or declare it.',
            field=f"{field}.map.{spec.name}" if spec.name in use.map else f"{field}.map",
        )
    return dataset.inputs[name]


def _check_shape(field: str, spec: TensorSpec, offer: DatasetInput) -> None:
    if not fits(spec.shape, with_batch(spec, offer.shape, None)) and not _whole(spec, offer):
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} takes {spec_text(spec)}, but {offer.array!r} of the dataset gives "
            f"{offer.dtype} {['rows', *offer.shape]}. Change the declaration (layout, add_axis, scale) or the data.",
            field=field,
        )


def check_finite(field: str, use: DataUse, name: str, array: ArrayFacts) -> None:
    """The first row that is not finite is known, and asked about; the worker looks at all that it reads."""
    row, *_ = array.first_not_finite or [0]
    start, stop = use.slice or (0, row + 1)
    if not array.finite and start <= row < stop:
        raise Refusal(
            "not_finite",
            f"Array {name!r} has NaN or infinity, first at {array.first_not_finite}. Choose a slice without it, or "
            "upload the data again without such samples.",
            field=field,
        )


def holds_classes(labels: ArrayFacts) -> bool:
    """Whether the numbers name classes: integers, whole floats, or one-hot rows."""
    return kind_of(labels.dtype) in INTEGERS or bool(labels.whole)


def check_numeric(field: str, needs: str, name: str, labels: ArrayFacts) -> None:
    """Raises `labels_do_not_fit` for words, dates and the like, saying how to make numbers of them."""
    if kind_of(labels.dtype) in (*INTEGERS, "float"):
        return
    raise Refusal(
        "labels_do_not_fit",
        f"{needs} needs labels that are numbers; {name!r} is {labels.dtype}. Of words make class numbers in the order "
        "of the model's classes, for example np.array([classes.index(word) for word in words]), and upload again.",
        field=field,
    )


def columns(shape: Sequence[int | None]) -> list[int | None]:
    """The axes of one label that count: those of length 1 do not."""
    return [d for d in shape[1:] if d != 1]


def _check_classes(
    use: DataUse, metric: str, name: str, labels: ArrayFacts, output: TensorSpec | None
) -> None:
    """Facts are those of all rows: rows without a label may lie outside of a slice, which the worker looks at."""
    field = "data.evaluation"
    known = output is not None and len(output.shape) == 2 and kind_of(output.dtype) == "float"
    if labels.one_hot and len(columns(labels.shape)) == 1:
        check_one_hot(field, name, labels, output if known else None)
        return
    if columns(labels.shape):
        raise Refusal(
            "labels_do_not_fit",
            f"{metric} needs one class number for each sample (or one-hot rows); {name!r} has the shape "
            f"{['rows', *labels.shape[1:]]}.",
            field=field,
        )
    lowest = 0 if use.slice is None else UNLABELLED
    _check_range(field, f"{metric} needs class numbers from 0", labels, output if known else None, lowest)


def check_one_hot(field: str, name: str, labels: ArrayFacts, output: TensorSpec | None) -> None:
    """As many columns as the output [N, C] has classes; of an output [N, C, …] the whole shape."""
    if output is not None and len(output.shape) > 2:
        _check_label_shape(field, name, labels, output.shape, output)
        return
    (width,), classes = columns(labels.shape), output.shape[1] if output is not None else None
    if isinstance(classes, int) and classes != width:
        assert output is not None
        raise Refusal(
            "labels_do_not_fit",
            f"The one-hot labels {name!r} have {width} columns, but output {output.name!r} has {classes} classes.",
            field=field,
        )


def _check_scores(metric: str, output: TensorSpec | None) -> None:
    """An output of reals has scores [samples, classes], axes of length 1 behind them aside."""
    if output is None or kind_of(output.dtype) != "float" or not output.shape:
        return
    rest = output.shape[1:]
    if not rest or rest[0] == 1 or any(isinstance(d, int) and d != 1 for d in rest[1:]):
        raise Refusal(
            "labels_do_not_fit",
            f"{metric} needs an output of scores [samples, classes]; {output.name!r} is {spec_text(output)}. Name "
            "another output in evaluation.output, or use the metric mse.",
            field="evaluation.output",
        )


def _check_numbers(field: str, metric: str, name: str, labels: ArrayFacts, output: TensorSpec | None) -> None:
    check_numeric(field, metric, name, labels)
    if output is not None and len(output.shape) > 1:
        _check_label_shape(field, name, labels, output.shape, output)


def _check_range(
    field: str, needs: str, labels: ArrayFacts, output: TensorSpec | None, lowest: int = 0
) -> None:
    low, high = labels.min, labels.max
    if low is not None and low < lowest:
        raise Refusal("labels_do_not_fit", f"{needs}; the smallest label is {low:g}.", field=field)
    classes = output.shape[1] if output is not None and len(output.shape) > 1 else None
    if output is not None and isinstance(classes, int) and 1 < classes <= (high or 0):
        detail = f"The largest label is {high:g}, but output {output.name!r} has {classes} classes, 0 to {classes - 1}."
        raise Refusal("labels_do_not_fit", detail, field=field)


def check_class_labels(
    field: str, kind: str, name: str, labels: ArrayFacts, output: TensorSpec, *, partly: bool = False
) -> None:
    """Class numbers for an output [N, C, …]: one for each sample (or pixel), from 0 to C - 1; `partly`: -1 for none."""
    if len(output.shape) == 1 or (len(output.shape) > 1 and output.shape[1] == 1):
        raise Refusal(
            "labels_do_not_fit",
            f"Output {output.name!r} is {spec_text(output)}: it has no classes to choose from, and the labels {name!r} "
            f"are {labels.dtype}, which {kind} takes for class numbers. Give labels of float32 to learn numbers, or "
            "choose another `output`.",
            field=field,
        )
    needs = f"{kind} takes whole labels for class numbers from 0{' (-1 for none)' if partly else ''}"
    _check_range(field, needs, labels, output, UNLABELLED if partly else 0)
    _check_label_shape(field, name, labels, [*output.shape[:1], *output.shape[2:]], output)


def check_number_labels(field: str, kind: str, name: str, labels: ArrayFacts, output: TensorSpec) -> None:
    """What the output itself should be."""
    _check_label_shape(field, name, labels, output.shape, output)


def _check_label_shape(
    field: str, name: str, labels: ArrayFacts, wanted: list[int | str | None], output: TensorSpec
) -> None:
    """Axes of length 1 do not count; behind an output of unknown rank nothing is known."""
    expected = [d for d in wanted[1:] if d != 1]
    offer = columns(labels.shape)
    open_ended = len(offer) < len(expected) and not all(isinstance(d, int) for d in expected)
    if output.shape and not open_ended and not fits(expected, offer):
        per_sample = ["?" if d is None else d for d in wanted[1:]]
        raise Refusal(
            "labels_do_not_fit",
            f"Output {output.name!r} is {spec_text(output)} and needs labels of the shape {['rows', *per_sample]}; "
            f"{name!r} has {labels.shape}.",
            field=field,
        )


def _whole(spec: TensorSpec, offer: DatasetInput) -> bool:
    """One row is the whole input, batch axis included."""
    return not fits(spec.shape, with_batch(spec, offer.shape, None)) and fits(spec.shape, offer.shape)


def _batch(field: str, model: ModelFacts, use: DataUse, dataset: DatasetFacts) -> int:
    made = [(spec, dataset.inputs[use.map.get(spec.name, spec.name)]) for spec in model.inputs]
    made = [(spec, offer) for spec, offer in made if offer.array is not None]
    if any(_whole(spec, offer) for spec, offer in made):
        return 1
    return fixed_batch([spec for spec, _ in made], field) or 1


def own_map(mapped: Mapping[str, str], inputs: list[TensorSpec]) -> dict[str, str]:
    """What of a job's map is for a model with these inputs: teacher and student may have others."""
    known = {spec.name for spec in inputs}
    return {name: to for name, to in mapped.items() if name in known}


def check_map(mapped: Mapping[str, str], inputs: list[TensorSpec], field: str | None = None) -> None:
    """Raises `unknown_input`; `field` is where in the request the data is named."""
    known = {spec.name for spec in inputs}
    for name in mapped:
        if name not in known:
            detail = f"The model has no input {name!r}; it has {listed(known)}. map goes from them to the dataset's."
            raise Refusal("unknown_input", detail, field=field and f"{field}.map.{name}")


def fixed_batch(batched: Iterable[TensorSpec], field: str | None = None) -> int | None:
    """The batch size that the inputs fix, None when they leave it open. Raises `inputs_do_not_fit`."""
    fixed = {size for spec in batched if isinstance(size := spec.shape[spec.batch_axis or 0], int)}
    if len(fixed) > 1:
        detail = f"The model's inputs fix different batch sizes: {sorted(fixed)}."
        raise Refusal("inputs_do_not_fit", detail, field=field)
    return fixed.pop() if fixed else None


def chosen_rows(chosen: tuple[int, int] | None, samples: int, batch: int, field: str | None = None) -> range:
    """The rows of a slice, in whole batches. Raises `empty_slice`, `slice_beyond_data`."""
    start, stop = chosen or (0, samples)
    if start < samples < stop:
        raise Refusal(
            "slice_beyond_data",
            f"Rows {start} to {stop} were asked for, and the data has {samples}. Let the slice end at {samples} or "
            "before, or upload more data.",
            field=field and f"{field}.slice",
        )
    end = min(stop, samples)
    end -= (end - start) % batch
    if end <= start:
        at_once = f" (the model takes {batch} at a time)" if batch > 1 else ""
        raise Refusal(
            "empty_slice",
            f"Rows {start} to {stop} of {samples} select no sample{at_once}. Choose a slice inside the data.",
            field=field and f"{field}.slice",
        )
    return range(start, end)


def with_batch(spec: TensorSpec, sample: Iterable[Size], batch: Size) -> list[Size]:
    """The shape of an input for the shape of one sample: with the batch where the model has it, else in front."""
    shape = list(sample)
    shape.insert(spec.batch_axis or 0, batch)
    return shape


def fits(wanted: list[int | str | None], offer: Iterable[int | None]) -> bool:
    """Same rank, and equal wherever the model gives a number (a None given is the free batch axis)."""
    offered = list(offer)
    pairs = zip(wanted, offered, strict=False)
    return len(wanted) == len(offered) and all(not isinstance(w, int) or g in (w, None) for w, g in pairs)


def check_kind(spec: TensorSpec, offer: str, field: str | None = None) -> None:
    """Raises `inputs_do_not_fit` when an input cannot be made of numbers of that dtype."""
    wanted, offered = RANK.get(kind_of(spec.dtype)), RANK.get(kind_of(offer))
    if wanted is None or offered is None or offered > wanted:
        raise Refusal(
            "inputs_do_not_fit",
            f"The model's input {spec.name!r} takes {spec.dtype}, the dataset gives {offer}. Give it an array "
            "of that kind.",
            field=field,
        )


def kind_of(dtype: str) -> str:
    return dtype.rstrip("0123456789")


def spec_text(spec: TensorSpec) -> str:
    return f"{spec.dtype} {['?' if d is None else d for d in spec.shape]}"


def listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "nothing"
