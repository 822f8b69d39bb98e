"""What a text or a file costs: bounded, linear in its length. Seconds are those of one core (CPU) of this machine."""

import io
import json
import resource
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.parts import Row
from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.hostile_graphs import SHAPES
from tests.support.served import Served, served
from winnow.contract.model import Layer
from worker.compression.graph.shapes.shape_folding import MAX_FOLDED_NODES
from worker.compression.upload_gate.functions import MAX_SIZE

COMPRESSION: Final = "tests/worker/compression"
HELD: Final = {
    "patterns: matched linearly, as fnmatch means them": "tests/winnow/contract/test_glob.py",
    "patterns: length, number and effort are bounded": "tests/app/admission/test_named_layers.py",
    "a tar with one name twice shows no path": f"{COMPRESSION}/upload_gate/test_archive.py::"
    "test_a_name_that_stands_twice_is_refused_without_a_path_of_the_server",
    "tars: one strict reader": "tests/winnow/contract/test_strict_tar.py",
    "npy headers: a grammar, no numpy": "tests/worker/compression/data/formats/test_npy_header.py",
    "npz: one strict reader": "tests/worker/compression/data/formats/test_npz.py",
    "nodes, tensors, links, names, parts are counted first": f"{COMPRESSION}/upload_gate/test_functions.py",
    "shapes are inferred once; folding has an allowance": f"{COMPRESSION}/graph/shapes/test_onnx_inference.py",
    "pages of large rows are short": "tests/app/api/test_pages.py",
}
REQUEST_SECONDS: Final = 1.0
INSPECTION_SECONDS: Final = 20.0

CHILD: Final = """
import sys
from pathlib import Path
from winnow.contract.errors import Refusal
from worker.compression.upload.inspection import inspect_model
path = Path(sys.argv[1])
try:
    inspect_model(path, "onnx", [], path.parent, allow_torchscript=False, max_unpacked_bytes=2**31)
    print("ready")
except Refusal as refusal:
    print(refusal.problem.code)
"""


def rows(folder: Path) -> Iterator[Row]:
    with served(folder) as api:
        yield from _requests(api)
    yield from _datasets(folder)
    for name in SHAPES:
        for count in (100_000, _allowed(name)):
            yield _inspection(folder, name, count)


def _requests(api: Served) -> Iterator[Row]:
    layers = [Layer(name=f"/l{'a' * 80}{i:06}", op="Conv", weight=[8, 8], macs=1) for i in range(20_000)]
    model = str(api.http.post("/v1/models", content=ONNX).json()["id"])
    api.inspected(model, model_facts(layers=layers).model_dump())
    for item, content in _bodies(model):
        yield _timed(item, lambda content=content: api.http.post("/v1/jobs", content=content, headers=JSON))
    for item, address, content in _uploads():
        yield _timed(item, lambda a=address, c=content: api.http.post(a, content=c))


JSON: Final = {"content-type": "application/json"}


def _bodies(model: str) -> Iterator[tuple[str, bytes]]:
    """Bodies of a job of at most 1 MiB."""
    room = 2**20 - 200

    def job(*steps: Any, **more: Any) -> bytes:
        return json.dumps({"model": model, "recipe": {"steps": steps}, **more}).encode()

    def excluding(*patterns: str) -> dict[str, Any]:
        return {"kind": "low_rank", "exclude": patterns}

    yield "a pattern of 10 kB of [", job(excluding("[" * 10_000))
    yield "100 patterns, 20,000 layers", job(excluding(*(f"*{i:02}9*9" for i in range(45))))
    yield "2,000 patterns, 20,000 layers", job(*[excluding(*(f"*{i}*" for i in range(100)))] * 20)
    yield "patterns of ?, 20,000 layers", job(excluding(*(f"*{'?' * 80}{i}*" for i in range(9))))
    yield "JSON: 1 MiB of [", b"[" * room
    yield "JSON: 90,000 unknown keys", json.dumps({f"k{i}": 1 for i in range(80_000)}).encode()[:room] + b"}"
    yield "JSON: a number of 10^6 digits", b'{"seed":' + b"9" * room + b"}"
    yield (
        "benchmark.shapes: 200,000 texts",
        job({"kind": "float16"}, benchmark={"shapes": {"x": ["a"] * 150_000}}),
    )
    yield (
        "data.map: 60,000 names",
        job(
            {"kind": "float16"},
            data={"training": {"dataset": "d", "map": {str(i): "x" for i in range(60_000)}}},
        ),
    )


def _uploads() -> Iterator[tuple[str, str, bytes]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for number in range(100_000):
            members.writestr(f"{number}.npy", b"")
    yield "an npz of 10^5 members", "/v1/datasets", archive.getvalue()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        for number in range(20_000):
            files.addfile(tarfile.TarInfo(f"{number}.onnx"))
    yield "a tar of 20,000 members", "/v1/models", archive.getvalue()
    yield "an onnx of 10^5 fields", "/v1/models", b"\x08\x0a" + b"\x12\x00" * 99_990 + b"\x3a\x00"


def _timed(item: str, ask: Callable[[], Any]) -> Row:
    before = time.process_time()
    status = ask().status_code
    seconds = time.process_time() - before
    met = seconds <= REQUEST_SECONDS and status < 500
    return Row("costs", item, f"≤ {REQUEST_SECONDS:g} s", f"{seconds:.2f} s, {status}", met)


def _datasets(folder: Path) -> Iterator[Row]:
    np.savez(folder / "many.npz", **{f"x{i}": np.zeros(2, np.float32) for i in range(9_999)})
    before = time.process_time()
    from winnow.contract.declaration import Declaration
    from worker.compression.data.inspection.inspect import inspect_dataset

    facts = inspect_dataset(folder / "many.npz", Declaration(), folder, max_unpacked_bytes=2**30)
    seconds = time.process_time() - before
    yield Row(
        "costs",
        f"inspection of an npz of {len(facts.arrays)} arrays",
        f"≤ {INSPECTION_SECONDS:g} s",
        f"{seconds:.1f} s",
        seconds <= INSPECTION_SECONDS,
    )


def _allowed(name: str) -> int:
    """The largest graph of the shape that the gate lets through."""
    ends = dict.fromkeys(("inputs", "outputs", "parallel"), MAX_SIZE.ends - 2)
    more = {
        "weights": MAX_SIZE.tensors,
        "branches": MAX_SIZE.graphs // 2 - 1,
        "reshapes": MAX_FOLDED_NODES - 1,
    }
    return (ends | more).get(name, MAX_SIZE.nodes // 2 if name == "functions" else MAX_SIZE.nodes - 1)


def _inspection(folder: Path, name: str, count: int) -> Row:
    """In a process of its own, as a worker does it; importing included."""
    path = folder / "model.onnx"
    path.write_bytes(SHAPES[name](count).SerializeToString())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(
        "costs",
        f"inspection of {name}, {count:,}",
        f"≤ {INSPECTION_SECONDS:g} s",
        f"{seconds:.1f} s, {answer.stdout.strip()}",
        seconds <= INSPECTION_SECONDS,
    )
