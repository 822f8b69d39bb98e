"""`features: auto`: which values inside student and teacher should agree, from what both graphs are built of.

hidden states    behind blocks, layer by layer (`mapping.py`), by their relative error: together they weigh 1
relations        of the values of the last attention of both, as in MiniLMv2, which need no equal number of heads: 1
"""

from typing import Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.graph.blocks.attention import attention_values
from worker.compression.graph.blocks.states import hidden_states
from worker.compression.training.goal.feature_distillation.features import Feature
from worker.compression.training.goal.feature_distillation.mapping import mapped, uniform

MAX_STATES: Final = 16
"""Pairs of hidden states, evenly spaced, with the last: all their values are held until the gradients are there."""


def auto_features(student: ir.Model, teacher: ir.Model) -> tuple[Feature, ...]:
    """Pair the values. Raises `Refusal` `teacher_does_not_fit` where there are none to pair."""
    own, others = hidden_states(student), hidden_states(teacher)
    pairs = mapped(own, others)
    chosen = [pairs[place] for place in uniform(min(MAX_STATES, len(pairs)), len(pairs))] if pairs else []
    features = [Feature(others[n].value, own[m].value, 1 / len(chosen), "relative_error") for m, n in chosen]
    values = attention_values(teacher)[-1:], attention_values(student)[-1:]
    features += [
        Feature(t.name, s.name, 1.0, "relations", (s.heads, t.heads)) for t, s in zip(*values, strict=False)
    ]
    if features:
        return tuple(features)
    counts = f"the student has {len(own)}, the teacher {len(others)}"
    raise Refusal(
        "teacher_does_not_fit",
        f"features auto pairs what lies behind residual blocks, or maps of images, and attention: {counts} of these. "
        "Name pairs of values in place of it (GET /v1/models/{id}/values lists them), or leave features out.",
        field="recipe.steps",
    )
