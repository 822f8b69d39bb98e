"""Requests that are wrong, doubled, misspelt or generated: each is answered, by its rule and by the document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.parts import Row
from tests.support.generated import Outcome, run, target

CASES: Final = 15_000
EXAMPLES: Final = 100
"""Of each operation, in each phase; a run generates some 4,000 cases of every edge of the schema beside them."""

STRICT: Final = "tests/app/api/test_strict.py::test_"
DOCUMENT: Final = "tests/app/api/test_openapi.py::test_"

HELD: Final = {
    "unknown query parameters, on every address": STRICT
    + "a_parameter_that_no_address_takes_is_refused_everywhere",
    "?statee=failed": STRICT + "a_parameter_that_is_written_wrongly_is_told_with_the_right_one",
    "unknown fields of forms": STRICT + "a_form_takes_the_fields_of_its_address_and_no_others",
    "Allow on 405": STRICT + "allow_names_every_method_of_the_address_and_of_no_other",
    "mixed coercion of JSON": STRICT + "json_of_another_type_is_refused",
    "mixed coercion of numbers in addresses": STRICT + "a_number_in_an_address_is_decimal_digits",
    "mixed coercion of times in addresses": STRICT + "a_time_in_an_address_is_a_date",
    "duplicate JSON keys in a job": STRICT + "a_key_that_stands_twice_is_refused_with_its_path",
    "duplicate JSON keys in a declaration": STRICT
    + "a_declaration_with_a_key_twice_is_refused_however_it_comes",
    "JSON depth": "tests/winnow/contract/test_strict_json.py::test_depth_is_bounded",
    "JSON that parsers read differently": "tests/winnow/contract/test_strict_json.py"
    "::test_what_parsers_read_differently_is_refused",
    "errors[] of a body and its address": STRICT + "every_fault_of_a_body_and_its_address_is_told",
    "errors[] of admission": STRICT + "admission_tells_every_fault_that_follows_from_no_other",
    "Problem.code is an enum": DOCUMENT + "the_codes_are_those_of_the_contract",
    "descriptions and examples of fields": DOCUMENT
    + "every_field_has_a_description_and_an_example_that_fits",
    "descriptions and examples of parameters": DOCUMENT
    + "every_parameter_has_a_description_and_an_example_that_fits",
    "examples of bodies and answers": DOCUMENT + "every_body_and_every_answer_has_an_example_that_fits",
}


def rows(folder: Path) -> Iterator[Row]:
    """schemathesis over all operations, until so many cases were sent: each run with a seed of its own."""
    outcomes: list[Outcome] = []
    with target(folder) as to:
        while sum(outcome.cases for outcome in outcomes) < CASES:
            seed = len(outcomes) + 1
            outcomes.append(run(to, folder / f"run-{seed}", seed, "--max-examples", str(EXAMPLES)))
    yield _cases(outcomes)
    yield _reached(outcomes)


def _cases(outcomes: list[Outcome]) -> Row:
    cases, runs = sum(outcome.cases for outcome in outcomes), len(outcomes)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    failed = sum(n for outcome in outcomes for name, n in outcome.answers.items() if name.split()[1] >= "500")
    measured = f"{cases} in {runs} runs, {failed} answered 5xx, {len(failures)} violations {failures or ''}"
    met = cases >= CASES and not failures and not failed
    return Row("requests", "schemathesis", f"{CASES} cases, no 500, no violation", measured.strip(), met)


def _reached(outcomes: list[Outcome]) -> Row:
    operations = {name.split()[0] for outcome in outcomes for name in outcome.answers}
    succeeded = {name for outcome in outcomes for name in outcome.succeeded}
    missed = sorted(operations - succeeded)
    measured = (
        f"{len(succeeded)} of {len(operations)} operations succeeded; never: {', '.join(missed) or 'none'}"
    )
    asked = "every operation succeeds with what exists"
    return Row("requests", "schemathesis reaches", asked, measured, not missed)
