"""`python -m worker.compression.measured`: a model beside another, or alone, measured as a job's result is.

Reads a `MeasureRequest` from stdin and writes `Measured` to stdout. The files are the caller's own; they go through the
same gate as uploads. Exit status 1: refused, the reason on stderr.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from winnow.contract.errors import Refusal
from winnow.contract.measured import Measured, MeasuredData, MeasureRequest
from winnow.contract.recipe import Recipe
from winnow.contract.strict_json import read_model
from worker.compression.data.source import Data, Source
from worker.compression.materials import Materials
from worker.compression.measure.compare import pair_of
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.comparing import compare_with_original
from worker.compression.result.packaged import sized
from worker.compression.upload.inspection import open_file
from worker.compression.upload.upload import open_upload


def measure_pair(request: MeasureRequest, scratch: Path) -> Measured:
    """Measure the candidate beside the original. Raises `Refusal` for models or data that cannot be used."""
    options = Options(
        request.evaluation,
        benchmark=request.benchmark,
        seed=request.seed,
        extent=Extent(brief=not request.times, times=request.times, weighs=False),
        target=request.target,
        judging="final" if request.data is not None and request.data.judging == "halves" else "result",
    )
    limit = options.max_unpacked_bytes
    upload = open_upload(request.original, scratch, max_unpacked_bytes=limit)
    candidate = open_file(request.candidate, scratch / "candidate", max_unpacked_bytes=limit)
    data = _data(request.data)
    if upload.package is not None:
        options = sized(options, upload, data)
    materials = Materials(upload, data, scratch, scratch / "curves", Silent(), options).split()
    nothing = Recipe.model_construct(steps=[])
    measured = compare_with_original(candidate.path, nothing, materials)
    return Measured(
        original_sha256=upload.sha256,
        size_bytes=pair_of(upload.size_bytes, candidate.size_bytes),
        quality=measured.quality,
        latency=measured.latency,
        environment=measured.environment,
        notes=measured.notes,
    )


def _data(data: MeasuredData | None) -> Data:
    if data is None:
        return Data()
    source = Source(data.path, data.declaration, data.slice, data.map)
    return Data(whole=source) if data.judging == "split" else Data(evaluation=source)


def main() -> int:
    try:
        request = read_model(MeasureRequest, sys.stdin.buffer.read())
        with tempfile.TemporaryDirectory(prefix="winnow-measured-") as folder:
            measured = measure_pair(request, Path(folder))
    except Refusal as refusal:
        return _fail(f"{refusal.problem.detail} [{refusal.problem.code}]")
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror or error}")
    sys.stdout.write(measured.model_dump_json())
    return 0


def _fail(why: Any) -> int:
    print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
