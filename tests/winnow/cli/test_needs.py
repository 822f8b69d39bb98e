"""What `winnow steps` says of data is what a job is refused for."""

import pytest

from winnow.cli.needs import needed, needed_by_settings
from winnow.cli.options import JobOptions
from winnow.cli.settings import KINDS
from winnow.cli.steps import needed_in_words
from winnow.contract.errors import Refusals
from winnow.contract.needed_data import check_needed_data

REQUIRED_SETTINGS = {"mixed_precision": " max_size_ratio=0.5"}
VALUES = {"smooth": "0.5", "recovery": '\'{"kind": "finetune"}\' rounds=2'}
"""Of the settings that are no choice of words."""


def missing(step: str) -> set[str]:
    """The data that a job of this step is refused for, where it is given none."""
    refusals = Refusals()
    check_needed_data(refusals, JobOptions(step=[step]).job("mdl_1"))
    assert all(one.problem.code == "missing_data" for one in refusals.kept)
    return {str(one.problem.field).removeprefix("data.") for one in refusals.kept}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_needs_what_a_job_of_it_is_refused_for(kind: str) -> None:
    assert missing(kind + REQUIRED_SETTINGS.get(kind, "")) == needed(KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_needs_what_a_job_with_it_is_refused_for(kind: str) -> None:
    for setting, more in needed_by_settings(KINDS[kind]).items():
        written = setting if "=" in setting else f"{setting}={VALUES[setting]}"
        assert missing(f"{kind} {written}{REQUIRED_SETTINGS.get(kind, '')}") == more | needed(KINDS[kind])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int8_static", "calibration."),
        ("weight_only", "none; calibration for method=gptq, method=awq."),
        ("low_rank", "none; calibration for data_aware=true."),
        ("int8_dynamic", "none; calibration for smooth."),
        (
            "sparsity",
            "calibration. Or judge by the weights alone: criterion magnitude, distribution uniform.",
        ),
    ],
)
def test_needs_are_said_in_words(kind: str, words: str) -> None:
    assert needed_in_words(KINDS[kind]) == words
