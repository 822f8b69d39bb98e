import os
from pathlib import Path

from worker.compression.data.source import Data, Source
from worker.compression.materials import fingerprint
from worker.compression.options import Options


def test_the_same_bytes_are_the_same_data_whenever_and_wherever_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"rows")
    (tmp_path / "b.npz").write_bytes(b"rows")
    os.utime(tmp_path / "b.npz", (1, 1))
    (tmp_path / "c.npz").write_bytes(b"other rows")
    keys = [
        fingerprint("model", Data(training=Source(tmp_path / name)), Options())
        for name in ("a.npz", "b.npz", "c.npz")
    ]
    assert keys[0] == keys[1] != keys[2]
