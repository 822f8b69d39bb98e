"""Parts of a joined output are judged apart where their ranges differ, however the graph moves them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import digits_net, model, samples
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.quantization.search.output_parts import joined_parts, uneven_parts


def detector(scores: float = 1.0) -> ir.Model:
    """Boxes and scores of two levels, joined as YOLOX joins them; `scores` multiplies the latter."""
    return model(
        """(float[N,8,4,4] image) => (float[N,20,7] y) {
            [boxes] b = Conv (image, wb)
            [classes] c = Conv (image, wc)
            [sigmoid] s = Sigmoid (c)
            [weaker] k = Mul (s, factor)
            [head] h = Concat <axis=1> (b, k)
            [small] p = AveragePool <kernel_shape=[2, 2], strides=[2, 2]> (h)
            [cells] h1 = Reshape (h, shape)
            [cells2] p1 = Reshape (p, shape)
            [levels] l = Concat <axis=2> (h1, p1)
            [turned] y = Transpose <perm=[0, 2, 1]> (l)
        }""",
        {
            "wb": np.random.default_rng(0).normal(size=(4, 8, 1, 1)).astype(np.float32) * 100,
            "wc": np.random.default_rng(1).normal(size=(3, 8, 1, 1)).astype(np.float32),
            "factor": np.array(scores, np.float32),
            "shape": np.array([0, 7, -1], np.int64),
        },
    )


def simple(scores: float = 1.0) -> ir.Model:
    return model(
        """(float[N,8,4,4] image) => (float[N,4,4,7] y) {
            [boxes] b = Conv (image, wb)
            [classes] c = Conv (image, wc)
            [sigmoid] s = Sigmoid (c)
            [weaker] k = Mul (s, factor)
            [head] h = Concat <axis=1> (b, k)
            [turned] y = Transpose <perm=[0, 2, 3, 1]> (h)
        }""",
        {
            "wb": np.random.default_rng(0).normal(size=(4, 8, 1, 1)).astype(np.float32) * 100,
            "wc": np.random.default_rng(1).normal(size=(3, 8, 1, 1)).astype(np.float32),
            "factor": np.array(scores, np.float32),
        },
    )


def image(count: int = 8) -> Any:
    return np.random.default_rng(2).normal(size=(count, 8, 4, 4)).astype(np.float32)


def test_scores_that_are_all_zero_are_seen_beside_boxes(tmp_path: Path) -> None:
    data = samples(tmp_path, simple(), image=image())
    whole, apart = (OutputComparer(simple(), data, tmp_path, apart=apart) for apart in (False, True))
    assert whole(simple(0.0)).snr_db > 35
    assert apart(simple(0.0)).snr_db == 0
    assert apart(simple()).snr_db == 200
    assert apart.parts["y"].bounds == (0, 4, 7)
    assert apart(simple(0.0)).cosine == whole(simple(0.0)).cosine


def test_parts_are_followed_through_moves() -> None:
    assert joined_parts(simple()) == {"y": {-1: (4, 3)}}
    assert joined_parts(detector())["y"] == {-2: (16, 4)} or joined_parts(detector())["y"][-1] == (4, 3)
    assert joined_parts(digits_net()) == {}


def test_parts_of_like_ranges_are_no_parts() -> None:
    x = np.concatenate([np.full((2, 3), 10.0), np.full((2, 2), 1.0)], axis=1)
    assert uneven_parts({-1: (3, 2)}, [x]) is None
    parts = uneven_parts({-1: (3, 2)}, [x * [[100, 100, 100, 1, 1]]])
    assert parts is not None
    assert parts.ranges == (1000.0, 1.0)
    assert [part.shape for part in parts.split(x)] == [(2, 3), (2, 2)]


def test_a_part_that_is_always_zero_is_not_judged_by_itself() -> None:
    x = np.concatenate([np.full((2, 3), 1000.0), np.zeros((2, 2))], axis=1)
    assert uneven_parts({-1: (3, 2)}, [x]) is None
