import pytest

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from winnow.contract.shapes import batch_axes, input_shapes


def spec(name: str, *shape: int | str | None) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=list(shape))


IMAGE = spec("x", "N", 3, "H", "W")


def test_the_batch_takes_the_place_of_an_open_first_axis() -> None:
    assert input_shapes([spec("x", "N", 4), spec("y", None, 2)], 8, {}) == {"x": (8, 4), "y": (8, 2)}


def test_a_name_means_the_batch_wherever_it_stands() -> None:
    """As in silero: the state of an LSTM is [directions, batch, hidden]."""
    specs = [spec("input", "batch", 512), spec("sr"), spec("state", 2, "batch", 128)]
    assert input_shapes(specs, 4, {}) == {"input": (4, 512), "sr": (), "state": (2, 4, 128)}


def test_an_unnamed_second_axis_of_a_state_is_the_batch() -> None:
    assert batch_axes([spec("x", None, 64), spec("h", 1, None, 32)]) == {"x": {0}, "h": {1}}


def test_steps_in_front_are_not_the_batch() -> None:
    assert input_shapes([spec("signal", 7, "N", 6)], 3, {}) == {"signal": (7, 3, 6)}


def test_other_dimensions_come_from_the_request_before_the_data() -> None:
    data = {"x": (1, 3, 32, 32)}
    assert input_shapes([IMAGE], 2, {}, data) == {"x": (2, 3, 32, 32)}
    assert input_shapes([IMAGE], 2, {"x": [1, 3, 320, 640]}, data) == {"x": (2, 3, 320, 640)}


@pytest.mark.parametrize(
    ("specs", "batch", "given", "code", "field", "told"),
    [
        ([IMAGE], 1, {}, "shape_needed", "benchmark.shapes.x", "2 ('H') and 3 ('W')"),
        ([spec("x", 1, 3)], 8, {}, "batch_size_fixed", "benchmark.batch_sizes", "fixed to 1"),
        ([IMAGE], 1, {"z": [1]}, "unknown_input", "benchmark.shapes.z", "'x'"),
        ([IMAGE], 1, {"x": [1, 4, 8, 8]}, "inputs_do_not_fit", "benchmark.shapes.x", "[1, 4, 8, 8]"),
        ([IMAGE], 1, {"x": [3, 8, 8]}, "inputs_do_not_fit", "benchmark.shapes.x", "[3, 8, 8]"),
        ([IMAGE], 2, {"x": [4, 3, 8, 8]}, "inputs_do_not_fit", "benchmark.shapes.x", "asks for 2"),
    ],
)
def test_what_cannot_be_shaped_is_refused_with_its_place(
    specs: list[TensorSpec], batch: int, given: dict[str, list[int]], code: str, field: str, told: str
) -> None:
    with pytest.raises(Refusal) as refused:
        input_shapes(specs, batch, given)
    assert (refused.value.problem.code, refused.value.problem.field) == (code, field)
    assert told in refused.value.problem.detail
