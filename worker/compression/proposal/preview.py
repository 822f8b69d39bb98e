"""Show what a model will be fed with: the first rows as numbers, and as the pictures that they are."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from winnow.contract.data_uses import only_map
from winnow.contract.declaration import Declaration
from winnow.contract.inquiry import Preview, PreviewInput
from winnow.contract.model import ModelFacts, TensorSpec
from worker.compression.data.declared import class_names, completed
from worker.compression.data.formats.opening import open_table
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.ir.arrays import Array
from worker.compression.proposal.as_picture import as_picture, is_shown
from worker.compression.proposal.subject import open_runnable, spread
from worker.compression.proposal.warning import fed_notes

MAX_LABEL_NUMBERS: Final = 1000
MAX_LABEL_CHARACTERS: Final = 200


def preview(source: Source, model: Path, rows: int, scratch: Path, *, max_unpacked_bytes: int) -> Preview:
    """Feed so many rows, spread over the dataset. Raises `Refusal`: what does not fit, or cannot be read."""
    runnable = open_runnable(model, scratch, max_unpacked_bytes=max_unpacked_bytes)
    facts = runnable.facts
    table = open_table(source.path, scratch, max_unpacked_bytes=max_unpacked_bytes)
    declaration = completed(source.declaration, table)
    mapped = Source(source.path, source.declaration, map=_map(facts, declaration))
    samples = runnable.samples(mapped, scratch, max_unpacked_bytes=max_unpacked_bytes)
    shown = [int(row) for row in np.asarray(samples.rows)[spread(len(samples), rows)]]
    feeds = [_feed(samples, row) for row in shown]
    names = class_names(declaration.targets, table) or []
    return Preview(
        samples=len(samples),
        rows=shown,
        inputs={
            spec.name: _input(spec, [feed[spec.name] for feed in feeds], _how(mapped, declaration, spec))
            for spec in facts.inputs
        },
        labels=None if samples.targets is None else [_label(samples, names, row) for row in shown],
        notes=fed_notes(facts, samples),
    )


def _map(model: ModelFacts, declaration: Declaration) -> dict[str, str]:
    own = [
        spec.name
        for spec in model.inputs
        if spec.name not in {*declaration.constants, *declaration.state.values()}
    ]
    return only_map(own, list(declaration.inputs))


def _how(source: Source, declaration: Declaration, spec: TensorSpec) -> Any:
    return declaration.inputs.get(source.map.get(spec.name, spec.name))


def _feed(samples: Samples, row: int) -> dict[str, Array]:
    """One row; where the model fixes a batch, the same row as often."""
    rows = np.full(samples.fixed_batch or 1, row, np.int64)
    return samples.at(rows)[0].feeds


def _input(spec: TensorSpec, fed: list[Array], how: Any) -> PreviewInput:
    axis = spec.batch_axis
    one = [x if axis is None else x.take(0, axis) for x in fed]
    numbers = np.concatenate([x.reshape(-1) for x in one]).astype(np.float64)
    shapes = {x.shape for x in one}
    sizes = (
        [{x.shape[axis] for x in one} for axis in range(one[0].ndim)]
        if len({x.ndim for x in one}) == 1
        else []
    )
    shape = list(one[0].shape) if len(shapes) == 1 else [min(s) if len(s) == 1 else None for s in sizes]
    return PreviewInput(
        dtype=str(fed[0].dtype),
        shape=shape,
        min=float(numbers.min(initial=np.inf)) if numbers.size else 0.0,
        max=float(numbers.max(initial=-np.inf)) if numbers.size else 0.0,
        mean=float(numbers.mean()) if numbers.size else 0.0,
        std=float(numbers.std()) if numbers.size else 0.0,
        pictures=[as_picture(x, how, spec) for x in one] if is_shown(how, spec) else [],
    )


def _label(samples: Samples, names: list[str], row: int) -> float | str | list[float]:
    """The name of the class where there is one, else its number or numbers."""
    assert samples.targets is not None
    value = np.asarray(samples.targets[np.array([row])][0])
    if value.ndim == 0 and value.dtype.kind in "iu" and 0 <= int(value) < len(names):
        return names[int(value)][:MAX_LABEL_CHARACTERS]
    if value.dtype.kind not in "biuf":
        return str(value)[:MAX_LABEL_CHARACTERS]
    return float(value) if value.ndim == 0 else [float(v) for v in value.reshape(-1)[:MAX_LABEL_NUMBERS]]
