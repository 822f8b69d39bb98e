"""Find the channel groups of a model, and try them: what the checker refuses after a cut is pinned, never offered."""

from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.graph.channels.account import Channel, Group, Groups, Pinned, groups_of
from worker.compression.graph.channels.cuttable import WHOLE_HEADS, Cuttable
from worker.compression.graph.channels.labelling import RULE_ERRORS, label
from worker.compression.graph.channels.surgery import remove
from worker.compression.ir.garbage import no_garbage_collection

TRIAL_STRIDE: Final = 3
"""Every third channel of each group is cut in the trial."""


@no_garbage_collection()
def channel_groups(model: ir.Model, cuttable: Cuttable = WHOLE_HEADS) -> Groups:
    """Which channels of a normalised model can be cut, and why the others cannot. The model is only read.

    It makes millions of small objects, next to none of them garbage: looking for it would take as long as the rest,
    and longer the larger the graph.
    """
    groups = _cut_every_third(model, None, cuttable)
    if isinstance(groups, Groups):
        return groups
    whole, _ = groups_of(label(model.clone(), cuttable))
    if _checker_error(model.clone()) is not None:
        return whole  # the checker has nothing to say about a cut where it refuses the model itself
    refused = _refused(model, list(whole.groups), cuttable)
    accepted = tuple(group for group in whole.groups if group.name not in refused)
    pinned = (Pinned(g.name, len(g.channels), refused[g.name]) for g in whole.groups if g.name in refused)
    return Groups(accepted, (*whole.pinned, *pinned))


def _refused(model: ir.Model, groups: list[Group], cuttable: Cuttable) -> dict[str, str]:
    """Find by halving the groups that cannot be cut, with the checker's sentence."""
    result = _cut_every_third(model, {group.name for group in groups}, cuttable)
    if isinstance(result, Groups):
        return {}
    if len(groups) == 1:
        return {groups[0].name: f"the ONNX checker refuses what is left without them: {result}"}
    half = len(groups) // 2
    return {**_refused(model, groups[:half], cuttable), **_refused(model, groups[half:], cuttable)}


def _cut_every_third(model: ir.Model, names: set[str] | None, cuttable: Cuttable) -> Groups | str:
    """Return the groups if a model without some channels of those named (None: all) is valid, else its error."""
    copy = model.clone()
    labelling = label(copy, cuttable)
    groups, roots = groups_of(labelling)
    chosen = {c for g in groups.groups if names is None or g.name in names for c in every_third(g)}
    classes = [roots[channel] for channel in chosen]
    try:
        remove(labelling, copy, np.array(classes, np.int64))
    except RULE_ERRORS as error:
        return f"{type(error).__name__}: {error}"
    refusal = _checker_error(copy)
    return groups if refusal is None else refusal


def every_third(group: Group) -> tuple[Channel, ...]:
    """The channels that a trial cut takes of a group: every third, never the last."""
    return group.channels[:-1:TRIAL_STRIDE]


def _checker_error(model: ir.Model) -> str | None:
    try:
        passes.CheckerPass(full_check=True)(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return str(error).strip().splitlines()[0]
    return None
