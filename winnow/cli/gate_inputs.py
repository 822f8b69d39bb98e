"""What `gate` measures by: the report or bundle, the data as one file, and how it is judged."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from winnow.cli.settings import decode as decode_of
from winnow.client.bundle import open_bundle, read_report
from winnow.client.files import CHUNK, check_readable
from winnow.client.packing import PackedBody
from winnow.contract.bundle.recipe_file import RecipeFile
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.measured import MeasuredData
from winnow.contract.needed_data import uses
from winnow.contract.report import Report

ZIP_BEGIN: Final = b"PK"


def read_against(path: Path) -> tuple[Report, RecipeFile | None]:
    """Read a report, or that of a bundle with its recipe. Raises `UnusableFile`."""
    check_readable(path)
    with path.open("rb") as file:
        is_zip = file.read(2) == ZIP_BEGIN
    if is_zip:
        with open_bundle(path) as bundle:
            return bundle.report, bundle.recipe
    return read_report(path.read_bytes(), str(path)), None


@contextmanager
def one_file(named: str | None) -> Iterator[Path | None]:
    """The data as one file: a folder is packed, as for an upload."""
    if named is None:
        yield None
    elif not Path(named).is_dir():
        check_readable(Path(named))
        yield Path(named)
    else:
        with tempfile.NamedTemporaryFile(prefix="winnow-gate-", suffix=".tar") as packed:
            body = PackedBody([Path(named)])
            while chunk := body.read(CHUNK):
                packed.write(chunk)
            packed.flush()
            yield Path(packed.name)


def measured_data(
    file: Path | None,
    options: dict[str, Any],
    declaration: Declaration | None,
    report: Report,
    recipe: RecipeFile | None,
) -> MeasuredData | None:
    """What was given wins; else what the bundle says of its evaluation data."""
    if file is None:
        return None
    known = None if recipe is None or recipe.job is None else uses(recipe.job.data).get("evaluation")
    declared = next(
        (
            each.declaration
            for each in (recipe.uploads if recipe else [])
            if known and each.id == known.dataset
        ),
        None,
    )
    rows = options["slice"] or (known.slice if known is not None else None)
    judging = "all"
    if report.split is not None and options["slice"] is None:
        judging = "split" if report.split.counts.get("training") else "halves"
    return MeasuredData.model_validate(
        {
            "path": file,
            "declaration": declaration or declared or Declaration(),
            "slice": rows,
            "map": options["map"] or (known.map if known is not None else {}),
            "judging": judging,
        }
    )


def evaluation_of(report: Report, recipe: RecipeFile | None, decode: str | None) -> Evaluation:
    if decode is None and recipe is not None and recipe.job is not None and recipe.job.evaluation is not None:
        asked = recipe.job.evaluation
        return asked if asked.task != "auto" else asked.model_copy(update={"task": report.quality[0].task})
    first, *rest = report.quality
    return Evaluation.model_validate(
        {
            "task": first.task,
            "metric": first.metric,
            "also": [entry.metric for entry in rest],
            "output": first.output if "," not in first.output else None,
            "decode": None if decode is None else decode_of(decode),
        }
    )
