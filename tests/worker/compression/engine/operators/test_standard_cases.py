"""The ONNX standard's own examples of every operator in the table, run by the engine."""

from collections import defaultdict
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.support.refusals import refusal
from tests.worker.compression.engine.operators.nodes import ABSOLUTE, by_runtime, difference, tensor
from worker.compression.engine.module import GraphModule
from worker.compression.engine.operators import TABLE
from worker.compression.graph.normal_form.normalise import normalise

DTYPES = {np.dtype(name) for name in ("f4", "f8", "i1", "u1", "i2", "i4", "i8", "?")}
"""Left out: strings, sequences, floats of 16 bits and less, integers of 4 bits, and unsigned ones of 16 and more."""
REFUSED = (
    # A key's length for each row, and windows that slide, are not in the plain form of Attention.
    "attention_4d_diff_heads_mask4d_padded_kv",
    "attention_4d_gqa_causal_nonpad_",
    "attention_4d_causal_nonpad_",
    "attention_local_window_ext",
    "attention_local_window_gqa",
    "attention_local_window_rank1",
    "attention_local_window_with",
    "attention_bidirectional_window",
    "attention_3d_local_window",
    "resize_tf_crop_and_resize",
    # Values dropped at random in evaluation too, and a ratio that is computed.
    "training_dropout",
    "dropout_default_ratio",
    "dropout_default_mask_ratio",
)
"""The beginnings of the names of all cases that the engine refuses."""
REFUSED_EXACTLY = ("attention_local_window",)
AS_RUNTIME = (
    "resize_downsample_scales_linear_align_corners",
    "resize_downsample_scales_cubic_align_corners",
)
"""Where ONNX Runtime departs from the standard, the engine follows it: the corners of the size, not of size · scale."""
ROUNDED = {"averagepool_2d_ceil_last_window_starts_on_pad": 1e-4}
"""Expected values that the standard gives with four digits."""
COMPOSED = "several operators"
WITHOUT_CASE = {"Cast", "CastLike", "GlobalLpPool"}
"""Operators that the standard has no case for in these types: see `test_versions`."""
NAMES = sorted({name for domain, name in TABLE if not domain} - WITHOUT_CASE)


@pytest.fixture(scope="module")
def cases(standard_cases: list[Any]) -> dict[str, list[Any]]:
    """By operator: those that only have operators and types that the engine knows."""
    found: dict[str, list[Any]] = defaultdict(list)
    for case in filter(_is_known, standard_cases):
        nodes = case.model.graph.node
        found[nodes[0].op_type if len(nodes) == 1 else COMPOSED].append(case)
    return found


def _is_known(case: Any) -> bool:
    given, expected = case.data_sets[0]
    return all((node.domain, node.op_type) in TABLE for node in case.model.graph.node) and all(
        isinstance(value, np.ndarray | np.generic) and value.dtype in DTYPES for value in (*given, *expected)
    )


@pytest.mark.parametrize("operator", [*NAMES, COMPOSED])
def test_the_standards_cases_come_out_as_expected_or_are_refused_by_name(
    operator: str, cases: dict[str, list[Any]]
) -> None:
    assert cases[operator], f"no case of {operator}"
    for case in cases[operator]:
        name = case.name.removeprefix("test_")
        feeds = {
            value.name: array
            for value, array in zip(case.model.graph.input, case.data_sets[0][0], strict=True)
        }
        model = normalise(ir.from_proto(case.model))
        if operator != COMPOSED and (name.startswith(REFUSED) or name in REFUSED_EXACTLY):
            assert refusal(lambda model=model: GraphModule(model)), name
            continue
        module = GraphModule(model).eval()
        with torch.no_grad():
            answers = module({key: tensor(array) for key, array in feeds.items()})
        expected = by_runtime(case.model, feeds) if name in AS_RUNTIME else case.data_sets[0][1]
        for value, right in zip(case.model.graph.output, expected, strict=True):
            wrong = difference(right, answers[value.name].numpy(), ROUNDED.get(name, ABSOLUTE))
            assert wrong is None, (name, value.name, wrong)
