"""Verdicts that mislead: outcomes, recommendations, what cannot be compared, the hash of a graph, layers in pairs."""

MEASURE = "tests/worker/compression/measure/verdict/test_recommendation.py"
PIPELINE = "tests/worker/compression/test_pipeline.py"

HELD = {
    "accepted only where something was required and met, else unchecked": (
        f"{MEASURE}::test_accepted_is_what_was_required_and_met_and_nothing_required_is_unchecked"
    ),
    "recommend by the defaults": (
        f"{MEASURE}::test_use_is_recommended_exactly_where_all_of_the_defaults_hold"
    ),
    "what cannot be compared does not meet": (
        f"{MEASURE}::test_an_output_that_cannot_be_compared_meets_no_cosine_and_is_not_recommended"
    ),
    "what is broken is never accepted": (
        f"{MEASURE}::test_what_is_broken_is_never_accepted_whatever_was_asked"
    ),
    "graph_sha256 is the same twice": (
        f"{PIPELINE}::test_the_same_request_gives_the_same_graph_and_says_its_hash"
    ),
    "every kind of step makes the same graph in another process": (
        "tests/worker/compression/test_deterministic.py"
        "::test_every_step_makes_the_same_graph_in_another_process"
    ),
    "layers tell all parts of a factorised layer": (
        "tests/worker/compression/result/test_report.py::test_what_layers_have_after_adds_up_to_the_models"
    ),
    "a user computes graph_sha256": (
        "tests/winnow/contract/test_graph_hash.py::test_a_user_finds_the_same_with_onnx_alone"
    ),
    "two jobs of the service have one graph_sha256": (
        "tests/winnow/cli/test_commands.py::test_two_jobs_of_one_request_have_one_graph_hash"
    ),
    "layers before and after, weight_only's multiplications too": (
        f"{PIPELINE}::test_layers_tell_what_was_and_what_is_of_packed_weights_too"
    ),
    "the baseline is tried before any work": (
        f"{PIPELINE}::test_what_the_measurement_would_refuse_is_refused_before_the_first_step"
    ),
}
