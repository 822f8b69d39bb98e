from pathlib import Path

from tests.support.facts import tensor
from worker.compression.data.source import Source


def test_each_model_takes_from_the_map_what_it_has_an_input_for() -> None:
    source = Source(Path("d.npz"), slice=(0, 9), map={"input": "image", "x": "image"})
    teacher = source.for_inputs([tensor("x", "N", 3), tensor("y", "N", 3)])
    assert (teacher.path, teacher.slice, teacher.map) == (Path("d.npz"), (0, 9), {"x": "image"})
