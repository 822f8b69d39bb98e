"""Which column is which input, and the ways in which it can be."""

import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import ArrayInput
from winnow.contract.errors import Refusal
from winnow.contract.inquiry import ProposedPart
from winnow.contract.model import ModelFacts, TensorSpec
from worker.compression.data.table import Files, Table
from worker.compression.proposal.choices.arrays import array_choices
from worker.compression.proposal.choices.choice import Choice, Reason
from worker.compression.proposal.choices.pictures import picture_choices
from worker.compression.proposal.choices.words import PARTS, sound_choices, table_choices, text_choices
from worker.compression.proposal.targets import looks_like_labels

RATE: Final = re.compile(r"sr|(sample|sampling)_?rate", re.IGNORECASE)
USUAL_RATE: Final = 16000
DATA: Final = re.compile(r"(x|data|inputs?|images?|features?|samples?)(_.*)?", re.IGNORECASE)


@dataclass
class Matches:
    """Choices by input; inputs that are constants, or carried over from an output, are none."""

    choices: dict[str, list[Choice]] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    parts: list[ProposedPart] = field(default_factory=list)


def matched(model: ModelFacts, table: Table) -> Matches:
    """Match every input of the model. Raises `Refusal` `inputs_do_not_fit` where nothing can be one."""
    matches = Matches()
    for spec in sorted(model.inputs, key=lambda spec: _carried(model, spec) is not None):
        carried = matches.choices and spec.name not in table.columns
        output = _carried(model, spec) if carried else None
        choices = _choices(model, spec, table, matches) if output is None else []
        if choices:
            matches.choices[spec.name] = choices
        elif spec.name in PARTS and any(name in PARTS for name in matches.choices):
            continue  # what the tokenizer has for it comes with its tokens
        elif RATE.fullmatch(spec.name):
            matches.constants[spec.name] = USUAL_RATE
            because = "it is called like a rate of samples, and 16000 is the usual one"
            matches.parts.append(ProposedPart(path=f"constants.{spec.name}", sure=False, because=because))
        elif output is not None:
            matches.state[output] = spec.name
            because = f"output {output!r} is called like input {spec.name!r} and has its type and rank"
            matches.parts.append(ProposedPart(path=f"state.{output}", sure=True, because=because))
        else:
            raise _nothing(model, spec, table)
    if not matches.choices:
        raise _nothing(model, model.inputs[0], table)
    return matches


def _choices(model: ModelFacts, spec: TensorSpec, table: Table, matches: Matches) -> list[Choice]:
    for name, column in table.columns.items():
        if isinstance(column, Files) and name != "mask":
            if column.holds == "image":
                choices = picture_choices(model, spec, name, column)
            else:
                choices = sound_choices(spec, name, column, carries=_carries(model))
            if choices:
                return choices
    if spec.name not in PARTS or not any(name in PARTS for name in matches.choices):
        texts = text_choices(model, spec, table)
        if texts:
            return texts
    return _of_arrays(spec, table, matches) or table_choices(spec, table)


def _of_arrays(spec: TensorSpec, table: Table, matches: Matches) -> list[Choice]:
    """The array of the input's name, else one called like data, else the first that fits."""
    used = {
        c.how.array for choices in matches.choices.values() for c in choices if isinstance(c.how, ArrayInput)
    }
    fit = {
        name: choices
        for name, array in table.arrays.items()
        if name not in used and (choices := array_choices(spec, name, np.asanyarray(array)))
    }
    if not fit:
        return []
    data = {name: choices for name, choices in fit.items() if not looks_like_labels(name)} or fit
    best = min(
        data, key=lambda name: (name != spec.name, DATA.fullmatch(name) is None, -len(table.columns[name]))
    )
    if best == spec.name:
        reason = Reason("", True, "the array is called like the input")
    elif len(data) == 1:
        reason = Reason("", True, f"{best!r} is the only array that can be it")
    else:
        reason = Reason("", False, f"one of {', '.join(map(repr, data))}, which all can be it")
    return [
        Choice(choice.how, choice.tells, choice.usual, [reason, *choice.reasons]) for choice in data[best]
    ]


def _carries(model: ModelFacts) -> bool:
    """Whether one of several inputs is what an output was the call before."""
    return len(model.inputs) > 1 and any(_carried(model, spec) is not None for spec in model.inputs)


def _carried(model: ModelFacts, spec: TensorSpec) -> str | None:
    for output in model.outputs:
        alike = output.name.lower().startswith(spec.name.lower()[:4])
        if alike and output.dtype == spec.dtype and len(output.shape) == len(spec.shape):
            return output.name
    return None


def _nothing(model: ModelFacts, spec: TensorSpec, table: Table) -> Refusal:
    tokens = spec.name in PARTS and table.tokenizer is None
    hint = (
        " Texts need the model's tokenizer.json in the dataset: put both into one archive."
        if tokens
        else " Write a declaration that says what it is made of, or map it in the job."
    )
    has = [f"{name} {_described(table, name)}" for name in table.columns]
    return Refusal(
        "inputs_do_not_fit",
        f"Nothing in the dataset can be the model's input {spec.name!r} ({fitting.spec_text(spec)}); it has "
        f"{', '.join(has[:20])}.{hint}",
    )


def _described(table: Table, name: str) -> str:
    array = table.arrays.get(name)
    return f"({array.dtype} {list(array.shape)})" if array is not None else ""
