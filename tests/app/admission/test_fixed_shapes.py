"""What POST refuses of sizes that a recipe fixes, and that everything else is then checked with them."""

from typing import Any

from tests.support.admission import calibration, outcome, refused

FIELD = "recipe.steps.0.fix_shapes"


def simplify(**fix_shapes: Any) -> dict[str, Any]:
    return {"kind": "simplify", "fix_shapes": fix_shapes}


def test_a_name_that_the_model_does_not_have_is_refused_with_those_that_it_has() -> None:
    problem = outcome(simplify(M=1))
    assert problem is not None
    assert (problem.code, problem.field) == ("unknown_input", f"{FIELD}.M")
    assert "vary: 'N'; inputs: 'input' ['N', 3, 8, 8]" in problem.detail


def test_a_shape_that_is_none_of_the_input_is_refused() -> None:
    assert refused(simplify(input=[1, 1, 8, 8])) == ("inputs_do_not_fit", f"{FIELD}.input")


def test_a_fixed_batch_is_the_one_that_is_timed() -> None:
    assert outcome(simplify(N=1)) is None
    assert refused(simplify(N=4)) == ("batch_size_fixed", "benchmark.batch_sizes")
    assert outcome(simplify(N=4), benchmark={"batch_sizes": [4]}) is None


def test_data_is_held_against_the_fixed_sizes() -> None:
    """9 rows are no whole batches of 4; 8 are two."""
    batches = {"batch_sizes": [4]}
    assert outcome(simplify(N=4), benchmark=batches, data=calibration(slice=[0, 8])) is None
    problem = outcome(simplify(N=4), benchmark=batches, data=calibration(slice=[0, 3]))
    assert problem is not None
    assert problem.code == "empty_slice"


def test_simplify_goes_with_any_step_in_any_order() -> None:
    half, dynamic = {"kind": "float16"}, {"kind": "int8_dynamic"}
    for steps in ([simplify(N=1), dynamic], [dynamic, {"kind": "simplify"}], [half, {"kind": "simplify"}]):
        assert outcome(*steps) is None
