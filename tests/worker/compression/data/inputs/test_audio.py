"""Sounds become numbers: mono, of one rate, cut, padded or in windows."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.support.refusals import refusal
from tests.support.sounds import encoded, sound
from tests.support.tokenizer import archive
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.sounds.decode import BadSound, check_sound, decode_sound, read_header
from worker.compression.data.source import Source

CAP = 2**28
QUANTUM = 1 / 2**15
"""What 16 bits tell apart."""


def opened(path: Path, length: int = 512, **how: Any) -> Samples:
    declaration = how.pop("declaration", {})
    declared = {"inputs": {"x": {"from": "audio", "rate": 16_000, "length": length, **how}}, **declaration}
    spec = TensorSpec(name="x", dtype="float32", shape=["N", *(["C"] * ("add_axis" in how)), "L"])
    return open_samples(Source(path, Declaration.model_validate(declared)), [spec], path.parent / "scratch")


def written(folder: Path, content: bytes) -> Path:
    (folder / "data").write_bytes(content)
    return folder / "data"


@pytest.mark.parametrize(
    ("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24")]
)
def test_a_sound_is_the_mean_of_its_channels(format: str, subtype: str, tmp_path: Path) -> None:
    x = sound(0.1, channels=2)
    (feed,) = opened(written(tmp_path, encoded(x, format=format, subtype=subtype)), 1000).batches(1)
    np.testing.assert_allclose(feed["x"][0], x.mean(1)[:1000], atol=QUANTUM)


def test_what_is_short_is_padded_and_what_is_long_is_cut_into_windows(tmp_path: Path) -> None:
    x = sound(1300 / 16_000)[:, 0]
    path = written(tmp_path, encoded(x, subtype="FLOAT"))
    (whole,) = opened(path, 2000).batches(9)
    np.testing.assert_allclose(whole["x"][0], np.pad(x, (0, 700)), atol=1e-7)
    samples = opened(path, 512, hop=256)
    windows = np.concatenate([feed["x"] for feed in samples.batches(2)])
    padded = np.pad(x, (0, 512))
    assert len(samples) == len(windows) == 5
    np.testing.assert_allclose(windows, [padded[i * 256 : i * 256 + 512] for i in range(5)], atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(rate: int, tmp_path: Path) -> None:
    """The same tones at both rates differ, away from the ends, by the filter's ripple."""
    content = encoded(sound(0.5, rate), rate, subtype="FLOAT")
    expected = sound(0.5, 16_000)[:, 0]
    got = decode_sound(content, 16_000)
    assert len(got) == len(expected)
    np.testing.assert_allclose(got[400:-400], expected[400:-400], atol=0.01)
    np.testing.assert_array_equal(decode_sound(content, 16_000, 3000), got[:3000])


def test_numbers_are_scaled_and_an_axis_is_added(tmp_path: Path) -> None:
    x = sound(0.05)[:, 0]
    path = written(tmp_path, encoded(x, subtype="FLOAT"))
    (feed,) = opened(path, 100, scale=2.0, add_axis=1).batches(1)
    assert feed["x"].shape == (1, 1, 100)
    np.testing.assert_allclose(feed["x"][0, 0], 2 * x[:100], rtol=1e-5)


def test_windows_know_their_sound_and_have_its_label(tmp_path: Path) -> None:
    members = {
        f"{kind}/{i}.wav": encoded(sound(0.05 * (i + 1), seed=i)) for i, kind in enumerate(("hum", "buzz"))
    }
    path = archive(tmp_path / "a.zip", members)
    samples = opened(path, 512, hop=512, declaration={"targets": {"from": "column", "column": "label"}})
    assert samples.sequences is not None
    assert samples.labels is not None
    assert samples.sequences.tolist() == [0, 0, 0, 0, 1, 1]
    assert samples.labels.tolist() == samples.sequences.tolist()


def test_sounds_in_parquet_are_those_of_the_files(tmp_path: Path) -> None:
    contents = [encoded(sound(0.1, seed=i), format=kind) for i, kind in enumerate(("WAV", "FLAC"))]
    pq.write_table(
        pa.table({"audio": [{"bytes": c, "path": None} for c in contents]}), tmp_path / "a.parquet"
    )
    zipped = archive(tmp_path / "a.zip", {"0.wav": contents[0], "1.flac": contents[1]})
    (first,), (second,) = opened(tmp_path / "a.parquet").batches(4), opened(zipped).batches(4)
    np.testing.assert_array_equal(first["x"], second["x"])


def test_inspection_tells_what_sounds_become(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(sound(0.1)))
    declared = {"inputs": {"x": {"from": "audio", "rate": 16_000, "length": 512, "hop": 512}}}
    facts = inspect_dataset(
        path, Declaration.model_validate(declared), tmp_path / "scratch", max_unpacked_bytes=CAP
    )
    assert (facts.samples, facts.arrays["audio"].dtype, facts.inputs["x"].shape) == (4, "audio", [512])


WAV, FLAC = encoded(sound(0.2)), encoded(sound(0.2), format="FLAC")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (WAV[:2000], "cut short"),
        (WAV[:40] + (2**31).to_bytes(4, "little") + WAV[44:], "cut short"),
        (WAV[:44], "cut short"),
        (FLAC[: len(FLAC) // 2], "decoded"),
        (FLAC[:30], "no WAV or FLAC"),
        (b"RIFF" + bytes(4) + b"WAVE" + bytes(40), "no WAV or FLAC"),
        (WAV[:22] + b"\xff\xff" + WAV[24:], "no WAV or FLAC"),
        (b"", "no WAV or FLAC"),
        (encoded(sound(0.1), format="OGG"), "OGG"),
        (encoded(np.zeros((0, 1))), "0 samples"),
    ],
)
def test_what_is_no_sound_says_why(content: bytes, says: str) -> None:
    with pytest.raises(BadSound, match=says):
        check_sound(content)


def test_silence_that_unpacks_to_much_is_refused_by_its_header() -> None:
    """256 channels would be a lie; 8 of 20 minutes are 115 million numbers in 100 KB."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 16_000, 8, format="FLAC") as file:
        for _ in range(9):
            file.write(np.zeros((2**20, 8), np.int16))
    assert len(buffer.getvalue()) < 2**20
    with pytest.raises(BadSound, match="more than"):
        read_header(buffer.getvalue())


def test_bad_sounds_are_skipped_as_far_as_declared_or_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.wav": WAV, "b.wav": WAV[:900], "c.flac": FLAC})
    declared = {"inputs": {"x": {"from": "audio", "rate": 16_000, "length": 512, "hop": 512}}}

    def inspected(skip_bad: float) -> Any:
        return inspect_dataset(
            path,
            Declaration.model_validate(declared | {"skip_bad": skip_bad}),
            tmp_path / "scratch",
            max_unpacked_bytes=CAP,
        )

    problem = refusal(lambda: inspected(0))
    assert problem is not None
    assert "b.wav" in problem.detail
    assert "cut short" in problem.detail
    facts = inspected(0.4)
    assert (facts.samples, facts.skipped) == (14, 1)
    samples = opened(path, 512, hop=512, declaration={"skip_bad": 0.4})
    assert len(samples) == 14


@pytest.mark.parametrize("how", [{"add_axis": 0}, {"add_axis": 3}, {"mean": [1.0, 2.0]}])
def test_what_cannot_be_declared_is_named(how: dict[str, Any], tmp_path: Path) -> None:
    problem = refusal(lambda: opened(written(tmp_path, WAV), **how))
    assert problem is not None
    assert problem.code == "invalid_declaration"
