"""What detectors do with their boxes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.compression.measure.quality.decode.detections import ious, suppressed


@given(st.integers(0, 10_000), st.integers(0, 60), st.floats(0.05, 0.9), st.integers(1, 70))
def test_suppression_is_the_greedy_one(seed: int, count: int, threshold: float, most: int) -> None:
    draw = np.random.default_rng(seed)
    corner = draw.uniform(0, 50, (count, 2))
    boxes = np.concatenate([corner, corner + draw.uniform(0, 30, (count, 2))], axis=1)
    classes = draw.integers(0, 3, count)
    stay: list[int] = []
    for place in range(count):
        rivals = [kept for kept in stay if classes[kept] == classes[place]]
        if not (ious(boxes[[place]], boxes[rivals]) > threshold).any():
            stay.append(place)
    assert suppressed(boxes, classes, threshold, most).tolist() == stay[:most]
