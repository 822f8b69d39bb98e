"""Reports are kept for as long as their jobs: those from before a field was there are still read."""

from tests.support.asked import report
from winnow.contract.report import Report


def test_a_report_from_before_causes_and_suggestions_is_read() -> None:
    older = report().model_dump(mode="json")
    del older["next_steps"]
    for entry in older["requirements"]:
        del entry["cause"]
    read = Report.model_validate(older)
    assert read.next_steps == []
    assert [entry.cause for entry in read.requirements] == [None] * len(older["requirements"])
