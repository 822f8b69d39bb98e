"""The command line, the client and `?wait=`: what every user meets."""

COMMANDS = "tests/winnow/cli/test_commands.py"
RUN = "tests/winnow/cli/test_run.py"
CLIENT = "tests/winnow/client/test_client.py"
INVALID = "tests/winnow/contract/test_invalid.py"

HELD: dict[str, str] = {
    "run overwrites only by --force, decided before the work": (
        f"{RUN}::test_what_an_earlier_run_has_made_is_overwritten_only_by_force"
    ),
    "a place that cannot be written is told before the work": (
        f"{RUN}::test_a_place_that_cannot_be_written_is_told_before_the_work"
    ),
    "a finished result is not lost": (
        f"{RUN}::test_a_result_whose_place_is_gone_goes_elsewhere_and_says_where"
    ),
    "Ctrl-C leaves nothing half written": f"{RUN}::test_nothing_half_is_left",
    "report of a failed job shows its problem": f"{COMMANDS}::test_a_failed_job_shows_its_problem",
    "errors speak of options": f"{COMMANDS}::test_what_the_service_refuses_is_told_in_options",
    "failed jobs speak of options": (
        "tests/winnow/cli/test_naming.py::test_every_sentence_that_speaks_of_a_request_speaks_of_options_here"
    ),
    "every field that an option sets": (
        "tests/winnow/cli/test_naming.py::test_every_field_that_an_option_sets_is_called_by_it"
    ),
    "one search for the nearest name": "tests/winnow/contract/test_nearest.py",
    "steps say what data they need": "tests/winnow/cli/test_needs.py",
    "a failed run as JSON": f"{COMMANDS}::test_a_failed_run_answers_its_problem_as_json",
    "serve --workers N": (
        "tests/integration/test_embedded.py"
        "::test_two_workers_run_two_jobs_at_once_and_ctrl_c_leaves_nothing_of_them"
    ),
    "a stop answers what is held back": (
        "tests/integration/test_embedded.py::test_answers_that_are_held_back_come_when_it_stops"
    ),
    "unknown names suggest the nearest": f"{INVALID}::test_every_fault_is_named_in_words_with_the_nearest_known_name",
    "winnow steps is the contract": f"{COMMANDS}::test_steps_are_shown_as_the_contract_has_them",
    "winnow delete": f"{COMMANDS}::test_what_is_no_longer_needed_is_deleted",
    "winnow --version": f"{COMMANDS}::test_the_version_is_said",
    "--json everywhere": f"{COMMANDS}::test_every_command_that_answers_takes_json",
    "problems as JSON": f"{COMMANDS}::test_problems_come_as_json",
    "misspelled variables are told": f"{COMMANDS}::test_a_misspelled_variable_is_told",
    "options without effect are told": f"{COMMANDS}::test_options_without_effect_are_refused",
    "?wait=SECONDS": "tests/app/api/test_waiting.py",
    "the client takes dicts": f"{CLIENT}::test_dicts_do_as_well_as_models",
    "wait raises for a failed job": f"{CLIENT}::test_a_job_that_fails_raises_its_problem",
    "wait(timeout=)": f"{CLIENT}::test_waiting_ends_at_its_timeout",
    "Client() reads WINNOW_URL": f"{CLIENT}::test_the_address_comes_from_the_environment",
    "a slice beyond the data is refused": (
        "tests/app/admission/test_check.py::test_a_slice_holds_a_sample_and_ends_within_the_data"
    ),
    "the library takes .pt2": "tests/worker/compression/test___main__.py::test_a_pt2_is_converted_first",
    "the library names a missing file": (
        "tests/worker/compression/test___main__.py::test_a_missing_file_is_named_before_the_work"
    ),
}
