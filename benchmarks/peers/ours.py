"""One step of Winnow in a process of its own, with the peers' arguments and their last line.

python -m benchmarks.peers.ours model.onnx calibration.npz out.onnx STEP-AS-JSON

A step may have a `target` among its settings: the job's.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from winnow.contract.recipe import Recipe
from winnow.contract.target import DEFAULT_TARGET
from worker.compression.apply import apply
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.steps.context import Context


def main() -> None:
    model, archive, out, step = sys.argv[1:]
    before, begun = _peak(), time.monotonic()
    notes = _work(Path(model), Path(archive), Path(out), json.loads(step))
    seconds = time.monotonic() - begun
    print(json.dumps({"seconds": seconds, "peak_bytes": _peak(), "before_bytes": before, "notes": notes}))


def _work(model: Path, archive: Path, out: Path, step: dict[str, Any]) -> list[str]:
    target = step.pop("target", DEFAULT_TARGET)
    (asked,) = Recipe.model_validate({"steps": [step]}).steps
    with tempfile.TemporaryDirectory() as folder:
        graph = model_files.load(model)
        tidy(graph)
        graph = normalise(graph)
        samples = open_samples(Source(archive), inputs_of(graph), Path(folder))
        changed = apply(graph, asked, Context(Path(folder), 0, Silent(), samples, target=target))
        result = normalise(changed.model)
        tidy(result)
        model_files.save_single_file(result, out)
    return changed.notes


def _peak() -> int:
    """Not getrusage's, which a process inherits from the one that started it."""
    told = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in told.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main()
