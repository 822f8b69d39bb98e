"""A job that is followed, on a terminal and in a pipe."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from tests.support.asked import job
from winnow.cli import following
from winnow.client import Client
from winnow.contract.job import Job

SAID = "epoch 1 of 3, step 40 of 234: loss 0.412, top1 0.81, 913 samples/s"


def training(progress: float, message: str | None) -> Job:
    step = {"index": 0, "kind": "finetune", "progress": progress, "message": message}
    return job(state="running", progress=progress, step=step, seconds_left=42)


class Watched(Client):
    """A client whose job goes through these versions."""

    def __init__(self, *versions: Job) -> None:
        self.versions = versions

    def watch(self, id: str) -> Iterator[Job]:
        yield from self.versions


JOBS = (
    job(state="queued", queue_position=2),
    training(0.05, None),
    training(0.11, SAID),
    training(0.12, "not told in a pipe: nothing much has changed"),
    training(0.52, "epoch 2 of 3\nwith a \x1b[31mcolour"),
    job(state="succeeded", progress=1.0, outcome="accepted"),
)


def test_a_line_ends_with_what_the_step_said_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert following.follow(Watched(*JOBS), "job_1").state == "succeeded"
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "job_1: queued, number 2 in line 0%",
        "job_1: finetune 5% 0:42 left",
        f"job_1: finetune 11% 0:42 left {SAID}",
        "job_1: finetune 52% 0:42 left epoch 2 of 3 with a ?[31mcolour",
        "job_1: succeeded 100%",
    ]


@pytest.mark.parametrize("width", [60, 120])
def test_below_the_bar_stands_what_the_step_said_last(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen: Any = Console(file=io.StringIO(), width=width, force_terminal=True, markup=False)
    monkeypatch.setattr(following, "err", lambda: screen)
    following.follow(Watched(*JOBS[:3]), "job_1")
    text = screen.file.getvalue()
    assert "finetune" in text
    assert "[progress" not in text
    assert (SAID in text) == (width > len(SAID))
    assert SAID[:50] in text  # cut, and in one line, where it does not fit


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (training(0.5, SAID), SAID),
        (training(0.5, None), ""),
        (training(0.5, SAID).model_copy(update={"state": "failed"}), ""),
        (job(state="queued"), ""),
    ],
)
def test_only_a_step_at_work_says_something(told: Job, expected: str) -> None:
    assert following.said(told) == expected
