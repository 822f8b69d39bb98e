"""What trials have in common is computed once, and no result changes by it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits, digits
from tests.support.in_process import InProcess
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.runtime.observe import Observer

TRIAL = Options(
    Evaluation(metric="top1"),
    processes=InProcess(),
    judging="trial",
    extent=Extent(brief=True, times=False, weighs=False),
)
STATIC = {"kind": "int8_static"}
GPTQ = {"kind": "weight_only", "method": "gptq"}
PRUNED = {"kind": "channel_pruning", "criterion": "activation"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each pass over data that observes inner values."""
    counted: list[int] = []
    run = Observer.run

    def counting(observer: Observer, samples: Any, *size: int, **options: Any) -> Any:
        counted.append(len(samples))
        return run(observer, samples, *size, **options)

    monkeypatch.setattr(Observer, "run", counting)
    return counted


Try = Callable[..., str]


@pytest.fixture
def attempt(files: Digits, tmp_path: Path) -> Try:
    return trials(files, tmp_path)


def trials(files: Digits, folder: Path) -> Try:
    """Compress as a trial; answers the graph's hash. Trials of one `job` share what trials share."""
    number = iter(range(100))

    def tried(job: str, *steps: dict[str, Any], seed: int = 0) -> str:
        out = folder / f"trial-{next(number)}"
        out.mkdir()
        for name in ("checkpoints", "statistics"):
            (folder / job / name).mkdir(parents=True, exist_ok=True)
            (out / name).symlink_to(folder / job / name)
        data = Data(
            calibration=Source(files.data, DECLARATION, CALIBRATION),
            evaluation=Source(files.data, DECLARATION, EVALUATION),
        )
        recipe = Recipe.model_validate({"steps": list(steps)})
        return compress(files.model, recipe, data, out, options=replace(TRIAL, seed=seed)).graph_sha256

    return tried


@pytest.mark.parametrize(
    ("first", "second", "saved"),
    [
        (STATIC | {"percentile": 99.0, "bias_correction": False}, STATIC | {"bias_correction": False}, 2),
        (GPTQ, GPTQ | {"bits": 8}, 1),
        (PRUNED | {"amount": 0.3}, PRUNED | {"amount": 0.5}, 1),
    ],
    ids=["distributions and channels", "hessians", "channel scores"],
)
def test_what_settings_do_not_change_is_computed_once_and_changes_nothing(
    attempt: Try, passes: list[int], first: dict[str, Any], second: dict[str, Any], saved: int
) -> None:
    """The artifact is, bit by bit, that of a trial that has nothing to take over."""
    alone = attempt("alone", second)
    needed = len(passes)
    passes.clear()
    attempt("shared", first)
    passes.clear()
    assert attempt("shared", second) == alone
    assert len(passes) == needed - saved


def test_trials_that_differ_in_the_last_step_do_the_first_once(attempt: Try, passes: list[int]) -> None:
    attempt("shared", PRUNED | {"amount": 0.3}, STATIC)
    passes.clear()
    after = attempt("shared", PRUNED | {"amount": 0.3}, GPTQ)
    shared = len(passes)
    passes.clear()
    assert attempt("alone", PRUNED | {"amount": 0.3}, GPTQ) == after
    assert 0 < shared < len(passes)


def test_another_seed_takes_nothing_over(attempt: Try, passes: list[int]) -> None:
    attempt("shared", STATIC)
    needed = len(passes)
    passes.clear()
    attempt("shared", STATIC, seed=1)
    assert len(passes) == needed


def _torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _pickled(file: Path) -> None:
    np.savez(file, extremes=np.array([{"a": object}], object))


def _other_shapes(file: Path) -> None:
    np.savez(file, extremes=np.zeros((1, 2)), bins_0=np.zeros(1, np.uint32), counts_0=np.zeros(2, np.uint32))


OTHER = STATIC | {"bias_correction": False, "repair": False}
FIRST = OTHER | {"percentile": 99.0}


@pytest.fixture(scope="module")
def kept(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which trials find what `FIRST` has left, and what `OTHER` makes by itself."""
    folder = tmp_path_factory.mktemp("kept")
    attempt = trials(files, folder)
    attempt("shared", FIRST)
    return folder / "shared", attempt("alone", OTHER)


@pytest.mark.parametrize("spoil", [_torn, _pickled, _other_shapes])
def test_what_cannot_be_read_as_it_should_be_is_computed_again(
    kept: tuple[Path, str],
    attempt: Try,
    passes: list[int],
    tmp_path: Path,
    spoil: Callable[[Path], None],
) -> None:
    folder, alone = kept
    shutil.copytree(folder, tmp_path / "shared")
    (file,) = (tmp_path / "shared" / "statistics").glob("distributions-*/arrays.npz")
    spoil(file)
    assert attempt("shared", OTHER) == alone
    assert len(passes) == 1
    passes.clear()
    attempt("shared", FIRST | {"percentile": 98.0})
    assert passes == []
