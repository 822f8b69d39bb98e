"""What a person reads of a problem."""

from winnow.client.errors import ServiceProblem
from winnow.contract.errors import FieldError, Refusal, refusal_of_fields


def test_one_fault_is_one_sentence() -> None:
    refusal = Refusal("invalid_request", "Give a number.", field="seed")
    assert str(ServiceProblem(refusal.problem)) == "Give a number. (field: seed) [invalid_request]"


def test_each_of_several_faults_has_a_line() -> None:
    faults = [FieldError(path=f"tags.{n}", detail="Too long.") for n in range(3)]
    title, *lines = str(ServiceProblem(refusal_of_fields(faults).problem)).split("\n")
    assert title == "The request does not fit its schema [invalid_request]:"
    assert lines == ["  tags.0: Too long.", "  tags.1: Too long.", "  tags.2: Too long."]


def test_a_list_that_was_cut_says_so() -> None:
    faults = [FieldError(path=f"tags.{n}", detail="Too long.") for n in range(300)]
    lines = str(ServiceProblem(refusal_of_fields(faults).problem)).split("\n")
    assert len(lines) == 102
    assert "may be more" in lines[-1]
