"""The picture that a sample is, if it is one."""

from typing import Final

import numpy as np

from worker.compression.graph.facts.facts import inputs_of
from worker.compression.proposal.as_picture import as_picture, is_shown
from worker.compression.proposal.choices.arrays import CHANNELS
from worker.compression.result.page.looking.pair import Pair

MAX_SIDE: Final = 160
"""Pixels: twelve pictures of 50 kB at most."""


def pictured(pair: Pair, row: int) -> tuple[str, tuple[int, int]]:
    """Return the first input that is a picture, as a data URI, empty where there is none; and its (width, height) as
    the model takes it."""
    samples, inputs = pair.samples, inputs_of(pair.materials.upload.float32)
    names = pair.source.for_inputs(inputs).map
    feeds = samples.at(np.full(samples.fixed_batch or 1, row, np.int64))[0].feeds
    for spec in inputs:
        how = pair.declaration.inputs.get(names.get(spec.name, spec.name))
        if how is None or not is_shown(how, spec):
            continue
        x = feeds[spec.name] if spec.batch_axis is None else feeds[spec.name].take(0, spec.batch_axis)
        height, width = x.shape[1:3] if x.shape[0] in CHANNELS else x.shape[:2]
        return as_picture(x, how, spec, MAX_SIDE, brightest=True), (int(width), int(height))
    return "", (1, 1)
