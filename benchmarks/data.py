"""`make bench-data`: pictures decoded and fed, beside torchvision's ImageFolder and DataLoader.

One table; `python -m benchmarks.data tensors` runs only that part of: speed, memory, tensors. torchvision (without its
compiled operators, which folders of pictures do not need) is put into a folder of the benchmark's own by pip.
"""

import io
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.table import Row, measure
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source

TORCHVISION: Final = "torchvision==0.28.0"
"""For torch 2.13, which the project has."""
PLACE: Final = Path("/tmp/winnow-bench-torchvision")
PICTURES, BATCH, ROUNDS = 600, 32, 5
MANY: Final = 200_000
MAX_GROWTH_MB: Final = 300
IMAGENET: Final = {"inputs": {"x": {"from": "image", "preset": "imagenet"}}, "targets": {"from": "folder"}}

THEIRS: Final = """
import sys, time
import torch
for name in ("nms", "qnms"):  # their operators are compiled for another torch, and not used here
    torch.library.define("torchvision::" + name, "(Tensor a, Tensor b, float c) -> Tensor")
from torchvision import transforms as T
from torchvision.datasets import ImageFolder
folder, size = sys.argv[1], int(sys.argv[2])
pixels = T.Compose([
    T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
])
loader = torch.utils.data.DataLoader(ImageFolder(folder, pixels), size, num_workers=2, persistent_workers=True)
def epoch():
    return sum(len(labels) for _, labels in loader)
epoch()
first, labels = next(iter(loader))
torch.save((first, labels), sys.argv[3])
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    print(epoch() / (time.perf_counter() - start), flush=True)
"""


def speed(folder: Path) -> Iterator[Row]:
    """Photographs of about 500 × 375 pixels as JPEG: our first epoch and theirs, in turns; then our second one."""
    pictures, archive = _photographs(folder)
    theirs = _torchvision(pictures, folder / "first.pt")
    ours, others, again = [], [], []
    for number in range(ROUNDS):
        samples = _opened(archive, folder / f"scratch{number}")
        ours.append(_per_second(samples))
        assert theirs.stdin is not None
        assert theirs.stdout is not None
        theirs.stdin.write("again\n")
        theirs.stdin.flush()
        others.append(float(theirs.stdout.readline()))
        again.append(_per_second(samples))
    theirs.kill()
    ratio = statistics.median(a / b for a, b in zip(ours, others, strict=True))
    yield Row("speed", "ours, decoding", f"{statistics.median(ours):.0f} pictures/s", "")
    yield Row("speed", "torchvision, 2 workers", f"{statistics.median(others):.0f} pictures/s", "")
    yield Row("speed", "ratio, median of rounds", f"{ratio:.2f}", f"≥ 0.8: {_met(ratio >= 0.8)}")
    yield Row("speed", "ours, decoded before", f"{statistics.median(again):.0f} pictures/s", "")
    yield _same_numbers(archive, folder)


def _same_numbers(archive: Path, folder: Path) -> Row:
    import torch

    first, labels = torch.load(folder / "first.pt")
    samples = _opened(archive, folder / "scratch-same")
    difference = float(np.abs(next(samples.batches(BATCH))["x"] - first.numpy()).max())
    assert samples.labels is not None
    same = difference < 1e-5 and samples.labels[:BATCH].tolist() == labels.tolist()
    return Row(
        "speed",
        "largest difference to torchvision's",
        f"{difference:.1e}",
        f"< 1e-5, labels equal: {_met(same)}",
    )


def memory(folder: Path) -> Iterator[Row]:
    """Small pictures, inspected, then read from the first to the last, in a process of its own."""
    path = folder / "many.zip"
    contents = [_encoded(Image.fromarray(_noise(16, 16, seed)), "PNG") for seed in range(100)]
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(MANY):
            archive.writestr(f"class{number % 10}/{number:06}.png", contents[number % 100])
    for what in ("inspect", "read"):
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.data", "--child", what, path, folder / what],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        growth, seconds = map(float, run.stdout.split())
        measured = f"{growth:.0f} MB more at the peak; {MANY / seconds:.0f} pictures/s"
        yield Row(
            "memory",
            f"{what} {MANY:,} pictures",
            measured,
            f"≤ {MAX_GROWTH_MB} MB: {_met(growth <= MAX_GROWTH_MB)}",
        )


def tensors(folder: Path) -> Iterator[Row]:
    """The same pixels as an .npz, a zip of PNGs and Parquet."""
    pixels = np.stack([_noise(40, 30, seed) for seed in range(200)])
    pngs = [_encoded(Image.fromarray(each), "PNG") for each in pixels]
    np.savez(folder / "a.npz", image=pixels)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for number, png in enumerate(pngs):
            archive.writestr(f"{number:03}.png", png)
    images = pa.array([{"bytes": png, "path": f"{number}.png"} for number, png in enumerate(pngs)])
    pq.write_table(pa.table({"image": images}), folder / "a.parquet", row_group_size=64)
    numbers = {
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "layout": "NHWC->NCHW",
    }
    expected = _all(folder / "a.npz", {"array": "image"} | numbers, folder)
    for name in ("a.zip", "a.parquet"):
        same = np.array_equal(_all(folder / name, {"from": "image"} | numbers, folder), expected)
        yield Row(
            "tensors", f"{name} beside a.npz", "equal" if same else "different", f"bit for bit: {_met(same)}"
        )


def _all(path: Path, how: dict[str, Any], folder: Path) -> Any:
    declaration = Declaration.model_validate({"inputs": {"x": how}})
    samples = open_samples(Source(path, declaration), [_spec(40, 30)], folder / "tensors")
    return np.concatenate([feed["x"] for feed in samples.batches(BATCH)])


def _spec(height: int, width: int) -> TensorSpec:
    return TensorSpec(name="x", dtype="float32", shape=["N", 3, height, width], batch_axis=0)


def _opened(archive: Path, scratch: Path) -> Samples:
    return open_samples(Source(archive, Declaration.model_validate(IMAGENET)), [_spec(224, 224)], scratch)


def _per_second(samples: Samples) -> float:
    start = time.perf_counter()
    rows = sum(rows for _, rows in samples.counted_batches(BATCH))
    return rows / (time.perf_counter() - start)


def _photographs(folder: Path) -> tuple[Path, Path]:
    """Crops of scikit-learn's two photographs, as a folder and as a zip."""
    pictures, archive = folder / "pictures", folder / "pictures.zip"
    random, photographs = np.random.default_rng(0), load_sample_images().images
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(PICTURES):
            top, left = random.integers(0, 52), random.integers(0, 140)
            picture = Image.fromarray(photographs[number % 2][top : top + 375, left : left + 500])
            file = pictures / f"{'ab'[number % 2]}/{number:05}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_encoded(picture, "JPEG", quality=90))
            packed.write(file, str(file.relative_to(pictures)))
    return pictures, archive


def _torchvision(pictures: Path, first: Path) -> "subprocess.Popen[str]":
    if not (PLACE / "torchvision").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", PLACE, TORCHVISION]
        subprocess.run(pip, check=True)
    process = subprocess.Popen(
        [sys.executable, "-c", THEIRS, pictures, str(BATCH), first],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(PLACE)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _noise(height: int, width: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def _encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _met(met: bool) -> str:
    return "yes" if met else "NO"


def child(what: str, path: Path, scratch: Path) -> None:
    """Inspect or read; print how much memory grew (MB) and the seconds."""
    before, start = _resident_kib("VmRSS"), time.perf_counter()
    declaration = Declaration.model_validate({"inputs": {"x": {"from": "image"}}})
    if what == "inspect":
        inspect_dataset(path, declaration, scratch, max_unpacked_bytes=2**35)
    else:
        samples = open_samples(Source(path, declaration), [_spec(16, 16)], scratch)
        assert sum(rows for _, rows in samples.counted_batches(256)) == MANY
    growth = _resident_kib("VmHWM") - before
    print(growth / 1024, time.perf_counter() - start)


def _resident_kib(field: str) -> int:
    """As the kernel counts this process alone: what `getrusage` tells begins with the memory of its parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    measure(
        "data", ("part", "what", "measured", "asked"), {"speed": speed, "memory": memory, "tensors": tensors}
    )


if __name__ == "__main__":
    main()
