"""`float16`: what vanishes in it, and outputs that subgraphs make."""

from typing import Final

TESTS: Final = "tests/worker/compression/techniques/test_float16.py::test_"
HELD: Final = {
    "a constant of 1e-10 under a Log, with and without data": TESTS
    + "a_constant_that_vanishes_keeps_its_node_and_the_logarithm_behind_it",
    "what breaks on the calibration rows is taken back until nothing does": TESTS
    + "what_made_the_input_of_a_broken_island_becomes_one_too",
    "keep_io_types: false and an output that a subgraph makes": TESTS
    + "an_output_that_a_branch_makes_is_float16_when_outputs_are_asked_for_in_it",
}
