"""A classifier of sentences: MiniLM with a head, fine-tuned on SST-2 by the service, made ten times as fast.

Beside the chain: int8 alone, and what DistilBERT did (evenly spaced layers, soft labels alone) with int8 behind it, as
deep as the chain leaves it. All trained ones see the 6,920 sentences of `train` and runs of words of them without a
label. Settings are chosen on the 872 sentences of `dev`; the rows report on the 1,821 of `test`.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.embedded import service, uploaded
from benchmarks.parts import Row
from benchmarks.shared_data import SHARED
from benchmarks.students.jobs import (
    CHOOSING,
    SEEDS,
    Rows,
    Steps,
    listed,
    longer,
    mean_drop,
    reported,
    speed,
)
from tests.support.minilm import LENGTH, encoded, minilm
from winnow.client import Client
from winnow.contract.fitting import UNLABELLED
from winnow.contract.report import Report

LEAST_SPEED, MOST_SIZE, MOST_LOST = 10, 0.1, 0.02
SHAPES: Final = {name: [1, LENGTH] for name in ("input_ids", "attention_mask")}
UNKNOWN: Final = 100
"""The id of [UNK]."""
TEACHER: Final = {"kind": "finetune", "epochs": 3, "batch_size": 32, "learning_rate": 1e-4}
INT8: Final = {"kind": "int8_dynamic"}
WORDS: Final = {"kind": "vocabulary_pruning", "fallback_id": UNKNOWN}
DEPTH: Final = {"kind": "student", "depth": 1 / 3}
WIDTHS: Final = {"kind": "channel_pruning", "target": "macs", "amount": 0.18}
TRAINING: Final = {
    "kind": "distillation",
    "batch_size": 32,
    "learning_rate": 5e-4,
    "temperature": 2,
    "validation": 0.02,
    "cache_teacher": True,
}
EPOCHS: Final = 5
CHAIN: Final = "words, layers, heads and widths, distilled, int8"
CALIBRATED: Final = 512
PARTS, SHORTEST = 6, 2
"""Runs of words drawn from each sentence; words of the shortest."""


def rows(folder: Path) -> Iterator[Row]:
    trained: dict[str, Any] = {**TRAINING, "epochs": longer(EPOCHS)}
    ways: dict[str, tuple[Steps, Sequence[int]]] = {
        "int8 alone": ([INT8], (0,)),
        CHAIN: (
            [WORDS, DEPTH, WIDTHS, {**trained, "features": "auto", "labels": 1.0}, INT8],
            SEEDS,
        ),
        "evenly spaced layers, soft labels, int8": ([DEPTH, trained, INT8], SEEDS),
    }
    with service(folder / "var") as winnow:
        dataset, parts, labelled = _sentences(winnow, folder)
        teacher = folder / "teacher.onnx"
        model = winnow.upload_model(minilm(classes=2)).id
        first = reported(winnow, model, [TEACHER], dataset, labelled, shapes=SHAPES, to=teacher)
        yield Row("texts", "the teacher", "", f"top-1 {100 * first.quality[0].after:.2f} %", True)
        model = winnow.upload_model(teacher).id
        for name, (steps, seeds) in ways.items():
            reports = [
                reported(winnow, model, steps, dataset, parts, seed=seed, shapes=SHAPES) for seed in seeds
            ]
            yield _row(name, reports, asked=name == CHAIN)


def _row(name: str, reports: list[Report], *, asked: bool) -> Row:
    fast, (lost, error) = speed(reports), mean_drop(reports)
    size = max(report.size_bytes.ratio or 1.0 for report in reports)
    met = fast >= LEAST_SPEED and size <= MOST_SIZE and lost <= MOST_LOST
    flags = ", ".join(reports[0].environment.cpu_flags)
    return Row(
        "texts",
        name,
        f"≥ {LEAST_SPEED}×, ≤ {MOST_SIZE} of the bytes, ≤ {100 * MOST_LOST:g} points" if asked else "",
        f"{fast:.2f}×, {size:.3f} of the bytes, {100 * lost:.2f} points lost (standard error {100 * error:.2f}; "
        f"{listed(reports)} %)" + (f"; {flags}" if asked else ""),
        met or not asked,
    )


def _sentences(winnow: Client, folder: Path) -> tuple[str, Rows, Rows]:
    """The dataset, and its rows by role: parts of sentences that train, which have no labels, first; and without
    these."""
    with (SHARED / "data" / "sst2.csv").open() as file:
        read = list(csv.DictReader(file))
    train, dev, test = ([row for row in read if row["split"] == split] for split in ("train", "dev", "test"))
    parts, whole = _parts([row["sentence"] for row in train]), [*train, *dev, *test]
    arrays = {
        **encoded((*parts, *(row["sentence"] for row in whole))),
        "label": np.array([UNLABELLED] * len(parts) + [int(row["label"]) for row in whole], np.int64),
    }
    declared = {
        "inputs": {name: {"array": name} for name in SHAPES},
        "targets": {"array": "label"},
    }
    whole_from, trained, choosing, reporting = (
        int(end) for end in np.cumsum(list(map(len, (parts, train, dev, test))))
    )
    judged = (trained, choosing) if CHOOSING else (choosing, reporting)
    roles = {"calibration": (trained - CALIBRATED, trained), "training": (0, trained), "evaluation": judged}
    return uploaded(winnow, folder, arrays, declared), roles, {**roles, "training": (whole_from, trained)}


def _parts(sentences: list[str]) -> list[str]:
    """Runs of words of the sentences, each once: what a teacher can be asked of besides them."""
    random, runs = np.random.default_rng(0), set[str]()
    for words in filter(lambda words: len(words) >= 2 * SHORTEST, map(str.split, sentences)):
        for _ in range(PARTS):
            length = int(random.integers(SHORTEST, len(words)))
            start = int(random.integers(0, len(words) - length + 1))
            runs.add(" ".join(words[start : start + length]))
    return sorted(runs)
