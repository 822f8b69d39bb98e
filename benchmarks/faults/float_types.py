"""Uploads in other floats, and `float16`: what vanishes in it, and outputs that subgraphs make."""

from typing import Final

OTHERS: Final = "tests/worker/compression/"
TYPES: Final = OTHERS + "half_precision/test_float_types.py::test_"
TESTS: Final = "tests/worker/compression/half_precision/test_float16.py::test_"
HELD: Final = {
    "a constant of 1e-10 under a Log, with and without data": TESTS
    + "a_constant_that_vanishes_keeps_its_node_and_the_logarithm_behind_it",
    "what breaks on the calibration rows is taken back until nothing does": TESTS
    + "what_made_the_input_of_a_broken_island_becomes_one_too",
    "keep_io_types: false and an output that a subgraph makes": TESTS
    + "an_output_that_a_branch_makes_is_float16_when_outputs_are_asked_for_in_it",
    "keep_io_types: false beside Loop, If, Scan, sequences and optionals": OTHERS
    + "half_precision/test_float16_containers.py::test_what_passes_through_it_runs_and_is_of_the_type_asked_for",
    "float16, float64 and stored weights: default pruning and every other step": TYPES
    + "a_step_does_what_it_does_to_float32",
    "a float16 upload and int8": OTHERS
    + "test_other_floats.py::test_int8_of_a_float16_upload_and_the_same_after_a_checkpoint",
    "a float64 upload and int8 by itself": OTHERS
    + "test_other_floats.py::test_int8_by_itself_of_a_float64_upload",
    "weights stored in half behind a Cast and float16": TYPES
    + "float16_computes_in_it_where_the_upload_does_not",
    "inputs, outputs, answers and size as the upload's": TYPES + "signature_answers_and_size_are_the_uploads",
    "a float16 student": OTHERS
    + "test_other_floats.py::test_a_float16_student_takes_the_place_of_a_float32_upload",
}
