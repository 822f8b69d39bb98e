"""Channel pruning of graphs that did not end within 300 s, and of layers inside branches."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.parts import Row
from tests.support.minilm import minilm
from tests.support.unfolded_bert import unfolded_bert
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.apply import apply
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

TESTS: Final = "tests/worker/compression/"
HELD: Final = {
    "layers that all lie in branches of an If": TESTS
    + "channel_pruning/test_channel_pruning.py::test_layers_inside_branches_are_cut_too",
    "a target of MACs on open sizes that the data tells": TESTS
    + "channel_pruning/test_channel_pruning.py::test_any_data_tells_the_sizes_that_macs_are_counted_with",
    "sibling branches that use the same names": TESTS + "graph/normal_form/test_unique_names.py",
    "what a cut leaves is counted without building it": TESTS
    + "graph/channels/test_laws.py::test_what_a_cut_leaves_is_forecast_exactly",
}
SHAPES: Final = {"input_ids": [1, 32], "attention_mask": [1, 32]}
TARGETS: Final[tuple[dict[str, Any], ...]] = (
    {"target": "macs"},
    {"target": "parameters"},
    {"target": "macs", "scope": "isomorphic", "round_to": 1},
)


def rows(folder: Path) -> Iterator[Row]:
    nodes = unfolded_bert(bert := folder / "bert.onnx", layers=35, width=192, heads=6)
    for name, path, most in (
        ("MiniLM, 22 M parameters", minilm(), 20),
        (f"BERT of {nodes:,} nodes", bert, 60),
    ):
        for settings in TARGETS:
            asked = f"at most {most} s of CPU; not larger"
            seconds, ratio = _pruned(path, settings, folder)
            told = ", ".join(map(str, settings.values()))
            measured = f"{seconds:.1f} s; {ratio:.3f} of the bytes"
            yield Row("pruning", f"{name}, {told}", asked, measured, seconds <= most and ratio <= 1)


def _pruned(path: Path, settings: dict[str, Any], folder: Path) -> tuple[float, float]:
    """CPU seconds of the step on the normalised graph, and the size of what comes out beside the upload's."""
    model = normalise(model_files.load(path))
    step = Recipe.model_validate({"steps": [{"kind": "channel_pruning", **settings}]}).steps[0]
    begun = time.process_time()
    context = Context(folder, 0, Silent(), None, benchmark=Benchmark(shapes=SHAPES))
    pruned = apply(model, step, context).model
    seconds = time.process_time() - begun
    model_files.save_single_file(pruned, written := folder / "pruned.onnx")
    return seconds, bytes_of(written) / bytes_of(path)
