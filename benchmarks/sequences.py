"""`make bench-sequences`: a state carried along sounds, and tables in constant memory.

One table; `python -m benchmarks.sequences state` runs only that part of: state, memory.
"""

import io
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import soundfile

from benchmarks.shared_data import SHARED
from benchmarks.table import Row, measure
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.onnx_files import model_files
from worker.compression.runtime.state import state_arrays

SILERO: Final = SHARED / "models" / "silero-vad-op18.onnx"
RATE, WINDOW, SECONDS, FILES = 16_000, 512, 10, 4
DECLARED: Final[dict[str, Any]] = {
    "inputs": {"input": {"from": "audio", "rate": RATE, "length": WINDOW, "hop": WINDOW}},
    "constants": {"sr": RATE},
    "state": {"stateN": "state"},
}
ROWS: Final = 2_000_000
MAX_GROWTH_MB: Final = 300
CAP: Final = 2**35


def state(folder: Path) -> Iterator[Row]:
    """silero's voice detector on generated WAVs: what it answers window by window with the states that were carried,
    rows in any order, beside running it by hand from the first window to the last."""
    sounds = [_sound(seed) for seed in range(FILES)]
    with zipfile.ZipFile(folder / "sounds.zip", "w") as archive:
        for number, sound in enumerate(sounds):
            buffer = io.BytesIO()
            soundfile.write(buffer, sound, RATE, format="WAV", subtype="FLOAT")
            archive.writestr(f"{number}.wav", buffer.getvalue())
    inputs = inputs_of(model_files.load(SILERO))
    source = Source(folder / "sounds.zip", Declaration.model_validate(DECLARED))
    begin = time.perf_counter()
    states = state_arrays(SILERO, source, inputs, folder / "scratch", max_unpacked_bytes=CAP)
    seconds = time.perf_counter() - begin
    samples = open_samples(source, inputs, folder / "scratch", states=states)
    session = ort.InferenceSession(str(SILERO), providers=["CPUExecutionProvider"])
    answers = np.concatenate([session.run(["output"], feed)[0] for feed in samples.batches(32)])
    by_hand = np.concatenate([_by_hand(session, sound) for sound in sounds])
    difference = float(np.abs(answers - by_hand).max())
    met = "met" if len(answers) == len(by_hand) and difference < 1e-5 else "NOT MET"
    yield Row("state", "carried", f"{len(samples)} windows of {FILES} WAVs in {seconds:.1f} s")
    yield Row("state", "largest difference to running by hand", f"{difference:.1e}", f"< 1e-5: {met}")
    moved = float(np.ptp(answers))
    yield Row("state", "answers from least to largest", f"{moved:.3f}")


def _sound(seed: int) -> np.ndarray:
    """Buzzing like a voice, on and off, in noise."""
    rng = np.random.default_rng(seed)
    at = np.arange(RATE * SECONDS) / RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * at)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    buzz = sum(np.sin(n * phase) / n for n in range(1, 20)) * (np.sin(2 * np.pi * 0.4 * at) > 0)
    return (0.2 * buzz + 0.01 * rng.normal(size=len(at))).astype(np.float32)


def _by_hand(session: ort.InferenceSession, sound: np.ndarray) -> np.ndarray:
    carried, answers = np.zeros((2, 1, 128), np.float32), []
    for start in range(0, len(sound), WINDOW):
        window = np.zeros((1, WINDOW), np.float32)
        part = sound[start : start + WINDOW]
        window[0, : len(part)] = part
        feed = {"input": window, "sr": np.array(RATE), "state": carried}
        answer, carried = session.run(["output", "stateN"], feed)
        answers.append(answer)
    return np.concatenate(answers)


def memory(folder: Path) -> Iterator[Row]:
    """Tables of two million rows, inspected and read to the end, each in a process of its own."""
    csv, lines = folder / "many.csv", folder / "many.jsonl"
    with csv.open("w") as file:
        file.write("a,b,word\n")
        file.writelines(f"{n},{n / 7},word {n % 1000}\n" for n in range(ROWS))
    with lines.open("w") as file:
        file.writelines(f'{{"a": {n}, "b": {n / 7}, "word": "word {n % 1000}"}}\n' for n in range(ROWS))
    for path in (csv, lines):
        command = [sys.executable, "-m", "benchmarks.sequences", "--child", path, folder / path.suffix]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        growth, seconds = map(float, run.stdout.split())
        met = "met" if growth <= MAX_GROWTH_MB else "NOT MET"
        measured = f"{growth:.0f} MB more at the peak; {ROWS / seconds:.0f} rows/s"
        yield Row("memory", f"{path.suffix} of {ROWS:,} rows", measured, f"≤ {MAX_GROWTH_MB} MB: {met}")


def _child(path: Path, scratch: Path) -> None:
    """Inspect and read a table; print how much memory grew, and the seconds."""
    declaration = Declaration.model_validate({"inputs": {"x": {"from": "table", "columns": ["a", "b"]}}})
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    inspect_dataset(path, declaration, scratch, max_unpacked_bytes=CAP)
    spec = TensorSpec(name="x", dtype="float32", shape=["N", 2])
    samples = open_samples(Source(path, declaration), [spec], scratch, max_unpacked_bytes=CAP)
    assert sum(count for _, count in samples.counted_batches(1024)) == ROWS
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(grown / 1024, time.perf_counter() - begin)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(*map(Path, sys.argv[2:]))
    else:
        measure(
            "Sequences and tables", ["part", "what", "measured", "asked"], {"state": state, "memory": memory}
        )
