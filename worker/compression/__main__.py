"""`python -m worker.compression job.json --out DIR`: the library on its own.

A `.pt2` is converted to ONNX first, which stays in DIR beside the result.
job.json is what `POST /v1/jobs` takes, with paths (relative to it) where ids stand, teachers and students included.
A dataset's declaration is looked for beside it: data.npz → data.json.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from winnow.contract.data_uses import DataUse
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.job import ClosedJob
from winnow.contract.needed_data import measured, uses
from winnow.contract.other_models import named_models
from winnow.contract.strict_json import read_model
from winnow.contract.target import checked_by_rules, measured_on
from worker.compression.data.open import MAX_UNPACKED_BYTES
from worker.compression.data.source import Data, Source
from worker.compression.names import Names
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.upload_gate.convert import torch_export
from worker.compression.upload_gate.convert.torch_export import is_torch_export


class Printed:
    """Progress for a person: one line a step, one a message, on stderr."""

    def step(self, index: int, kind: str) -> None:
        print(f"[{index}] {kind}", file=sys.stderr)

    def advance(self, fraction: float) -> None: ...

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        print(f"    {level}: {message}", file=sys.stderr)


def main() -> int:
    """Exit status 0: accepted or nothing required, 3: requirements not met, 1: refused, 2: usage, 130: Ctrl-C."""
    arguments = _parser().parse_args()
    try:
        return _compress(arguments.job, arguments.out)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on after the last finished step.", file=sys.stderr)
        return 130
    except Refusal as refusal:
        print(f"{refusal.problem.detail} [{refusal.problem.code}]", file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"There is no file {error.filename}.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or arguments.out}: {error.strerror or error}.", file=sys.stderr)
        return 1


def _compress(job: Path, out: Path) -> int:
    request = read_model(ClosedJob, job.read_bytes())
    base = job.parent
    _check_exist(
        [base / name for name in (request.model, *named_models(request.recipe), *_datasets(request))]
    )
    report = compress(
        _as_onnx(base / request.model, out),
        request.recipe,
        Data(
            calibration=_source(base, request.data.calibration),
            training=_source(base, request.data.training),
            evaluation=_source(base, request.data.evaluation),
            whole=_source(base, request.data.whole),
        ),
        out,
        Printed(),
        options=Options(
            measured(request),
            request.require,
            request.benchmark,
            request.seed,
            models={path: base / path for path in named_models(request.recipe)},
            request=request,
            target=measured_on(request.target, request.precision),
            checked=checked_by_rules(request.target),
            features=request.target_features,
            names=Names(Path(request.model).name, request.name or ""),
        ),
    )
    print("\n".join(report.verdict.summary))
    print(f"{report.verdict.recommend}: {report.verdict.because}")
    print(out / "artifact.onnx")
    return 3 if report.outcome == "requirements_not_met" else 0


def _check_exist(paths: list[Path]) -> None:
    """Check before the work that these files are there. Raises `FileNotFoundError`."""
    for path in paths:
        path.stat()


def _datasets(request: ClosedJob) -> list[str]:
    return [use.dataset for use in uses(request.data).values()]


def _as_onnx(model: Path, out: Path) -> Path:
    """The model; of a `.pt2` the ONNX that is made of it in `out`."""
    if not is_torch_export(model):
        return model
    out.mkdir(parents=True, exist_ok=True)
    converted = out / f"{model.stem}.converted.onnx"
    torch_export.convert(model, converted, max_bytes=MAX_UNPACKED_BYTES)
    return converted


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.compression", description=__doc__)
    parser.add_argument("job", type=Path, help="a job request as JSON, with paths where ids stand")
    parser.add_argument("--out", type=Path, required=True, help="folder for artifact.onnx and report.json")
    return parser


def _source(base: Path, use: DataUse | None) -> Source | None:
    if use is None:
        return None
    path = base / use.dataset
    beside = path.with_suffix(".json")
    declaration = read_model(Declaration, beside.read_bytes()) if beside.exists() else Declaration()
    return Source(path, declaration, use.slice, use.map)


if __name__ == "__main__":
    sys.exit(main())
