"""`make bench-packages`: an encoder-decoder of several graphs in 8 and 4 bits: bytes, tokens per second, equal answers.

A transformer of two layers is trained here to say seven letters backwards, and exported as Hugging Face's exporter does
it: encoder, decoder and decoder with cache (`pair`), and encoder and merged decoder, an If of both (`merged`). Each is
compressed as a package whose steps are calibrated on its own loop, and answers 64 sequences that nothing was trained or
calibrated on, token by token, on one thread. `python -m benchmarks.packages merged` runs only that part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.table import measure
from tests.support import seq2seq
from tests.support.merged_decoder import of_pair
from tests.support.packages import Models, zipped
from winnow.contract.declaration import Declaration
from winnow.contract.generate import Generate
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import GenerationReport, Report
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.pipeline import compress

STEPS: Final[dict[str, dict[str, Any]]] = {
    "8 bits, int8_dynamic": {"kind": "int8_dynamic"},
    "8 bits, int8_static": {"kind": "int8_static"},
    "4 bits, weight_only": {"kind": "weight_only", "bits": 4},
    "4 bits, weight_only by gptq": {"kind": "weight_only", "bits": 4, "method": "gptq"},
}
CALIBRATION: Final = 128
ROWS: Final = 64 + CALIBRATION
HELD_OUT_SEED: Final = 10**6
"""Sources of training have smaller ones."""
MAX_TOKENS: Final = 10
COLUMNS: Final = ("package", "weights", "bytes", "of float", "tokens/s", "speed-up", "equal tokens", "equal answers",
                  "perplexity")  # fmt: skip


@dataclass(frozen=True)
class Row:
    package: str
    weights: str
    bytes: str
    share: str
    rate: str
    speedup: str
    tokens: str
    answers: str
    perplexity: str


def pair(folder: Path) -> Iterator[Row]:
    yield from _rows("pair", seq2seq.files(), "decoder", "decoder_with_past", folder)


def merged(folder: Path) -> Iterator[Row]:
    files = seq2seq.files()
    both = of_pair(files["decoder.onnx"], files["decoder_with_past.onnx"])
    models = {"encoder.onnx": files["encoder.onnx"], "decoder_model_merged.onnx": both}
    yield from _rows("merged", models, "decoder_model_merged", "decoder_model_merged", folder)


def _rows(name: str, models: Models, first: str, then: str, folder: Path) -> Iterator[Row]:
    archive, data = zipped(folder / f"{name}.zip", models), _data(folder)
    options = Options(
        benchmark=Benchmark(threads=1),
        judging="final",
        extent=Extent(times=False, weighs=False),
        generate=Generate(
            start_token=seq2seq.START,
            end_token=seq2seq.END,
            max_tokens=MAX_TOKENS,
            first=first,
            then=then,
            feeds={"encoder.last_hidden_state": f"{first}.encoder_hidden_states"},
        ),
    )
    for number, (weights, step) in enumerate(STEPS.items()):
        recipe = Recipe.model_validate({"steps": [step]})
        report = compress(archive, recipe, data, folder / f"{name}-{number}", options=options)
        made = _generation(report)
        if number == 0:
            yield Row(name, "float", f"{report.size_bytes.before:,}", "1", *_speed(made, "before"), "", "",
                      _perplexity(made, "before"))  # fmt: skip
        yield Row(
            name,
            weights,
            f"{report.size_bytes.after:,}",
            f"{report.size_bytes.ratio:.3f}",
            *_speed(made, "after"),
            f"{made.token_agreement:.2%} of {made.tokens}",
            f"{made.equal_answers:.2%} of {made.samples}",
            _perplexity(made, "after"),
        )


def _data(folder: Path) -> Data:
    """Sources and their reversals as labels."""
    sources, targets = (each.numpy() for each in seq2seq.reversals(ROWS, HELD_OUT_SEED))
    np.savez(folder / "rows.npz", ids=sources, mask=np.ones_like(sources), labels=targets)
    inputs = {"encoder:input_ids": {"array": "ids"}, "encoder:attention_mask": {"array": "mask"}}
    declared = Declaration.model_validate({"inputs": inputs, "targets": {"array": "labels"}})
    return Data(
        calibration=Source(folder / "rows.npz", declared, (0, CALIBRATION)),
        evaluation=Source(folder / "rows.npz", declared, (CALIBRATION, ROWS)),
    )


def _generation(report: Report) -> GenerationReport:
    assert report.package is not None
    assert report.package.generation is not None
    return report.package.generation


def _speed(made: GenerationReport, when: str) -> tuple[str, str]:
    """Tokens per second, and times as fast as float with the interval; or why neither is told."""
    if made.tokens_per_second is None or made.speedup_interval is None:
        return f"not told: {made.untold}", ""
    rate = f"{getattr(made.tokens_per_second, when):,.0f}"
    low, high = made.speedup_interval
    return rate, f"{made.speedup:.2f} [{low:.2f}, {high:.2f}]" if when == "after" else "1"


def _perplexity(made: GenerationReport, when: str) -> str:
    return "" if made.perplexity is None else f"{getattr(made.perplexity, when):.5f}"


if __name__ == "__main__":
    measure(
        "An encoder-decoder as a package, 1 thread, one answer at a time",
        COLUMNS,
        {"pair": pair, "merged": merged},
    )
