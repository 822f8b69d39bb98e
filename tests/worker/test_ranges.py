"""Large datasets in a bucket on a real server: a job on a host that has nothing fetches what it reads, and comes to the
same result as one that has all of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.machine import usable_cores
from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.bucket import Bucket
from app.storage.engine import open_engine
from app.storage.migrate import migrate
from app.storage.records import LOCAL_OWNER, Job, Upload
from app.storage.remote_blobs import RemoteBlobs
from app.storage.sql import SqlRecords
from tests.support.buckets import on_server
from tests.support.forked import until_servers_are_ready
from tests.support.graphs import cnn
from tests.support.pictures import Pixels, encoded, noise, tar_of
from tests.support.records import a_job, an_upload
from tests.support.s3 import S3Server, s3_server
from worker.runner import Runner

pytestmark = pytest.mark.integration

ROWS, SIZE, CLASSES = 2000, 64, 10
PIXELS = {"scale": 1 / 255}
PICTURES = {"inputs": {"image": {"from": "image", **PIXELS}}}


def label(row: int) -> int:
    return row * CLASSES // ROWS


def npz(folder: Path) -> tuple[Path, dict[str, Any]]:
    x = np.stack([pixels(row) for row in range(ROWS)])
    np.savez(folder / "x.npz", x=x, labels=np.array([label(row) for row in range(ROWS)]))
    return folder / "x.npz", {"inputs": {"image": {"array": "x", "layout": "NHWC->NCHW", **PIXELS}}}


def tar(folder: Path) -> tuple[Path, dict[str, Any]]:
    files = {f"{label(row)}/{row:04}.bmp": picture(row) for row in range(ROWS)}
    return tar_of(folder / "x.tar", files), PICTURES


def parquet(folder: Path) -> tuple[Path, dict[str, Any]]:
    images = pa.array([{"bytes": picture(row), "path": None} for row in range(ROWS)])
    rows = pa.table({"image": images, "label": [label(row) for row in range(ROWS)]})
    pq.write_table(rows, folder / "x.parquet", row_group_size=100)
    return folder / "x.parquet", PICTURES | {"targets": {"from": "column", "column": "label"}}


@cache
def pixels(row: int) -> Pixels:
    return noise(SIZE, SIZE, seed=row)


@cache
def picture(row: int) -> bytes:
    return encoded(pixels(row), "BMP")


@dataclass
class Shop:
    """Records and a bucket for any number of hosts. `read` counts the bytes that came from the bucket."""

    folder: Path
    records: SqlRecords
    blobs: RemoteBlobs
    read: list[int] = field(default_factory=list)

    def host(self, name: str) -> Runner:
        settings = Settings(
            data_dir=self.folder / name,
            blobs_url="s3://shared",
            ranges_above_bytes=2**20,
            quiet_wait_seconds=0,
        )
        return Runner(settings, self.records, self.blobs, MemoryQueue())

    def model(self) -> Upload:
        onnx.save(cnn(size=SIZE), self.folder / "model.onnx")
        sha256, size = self.blobs.put_file(self.folder / "model.onnx")
        fields = {"kind": "model", "format": "onnx", "state": "inspecting", "size_bytes": size}
        return self.inspected(an_upload(sha256, **fields))

    def dataset(self, file: Path, declaration: dict[str, Any]) -> Upload:
        sha256, size = self.blobs.put_file(file)
        fields = {"kind": "dataset", "format": file.suffix[1:], "state": "inspecting", "size_bytes": size}
        return self.inspected(an_upload(sha256, declaration=declaration, **fields))

    def inspected(self, upload: Upload) -> Upload:
        self.records.add_upload(upload)
        self.host("inspects").run(upload.id)
        found = self.records.upload(LOCAL_OWNER, upload.kind, upload.id)
        assert found is not None
        assert found.state == "ready", found.problem
        return found

    def job(self, model: Upload, dataset: Upload, host: str) -> Job:
        uses = {"calibration": [0, 100], "evaluation": [1900, 1940]}
        request = {
            "model": model.id,
            "recipe": {"steps": [{"kind": "int8_static"}]},
            "data": {use: {"dataset": dataset.id, "slice": rows} for use, rows in uses.items()},
            "evaluation": {"metric": "top1"},
            "benchmark": {"rounds": 9},
        }
        job = self.records.add_job(a_job(model, dataset, request=request), None)[0]
        self.host(host).run(job.id)
        done = self.records.job(LOCAL_OWNER, job.id)
        assert done is not None
        return done


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def shop(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    migrate(engine)
    until_servers_are_ready(usable_cores())
    shop = Shop(tmp_path, SqlRecords(engine), on_server(s3, engine, monkeypatch))
    read = Bucket.read

    def counted(bucket: Bucket, name: str, start: int, end: int) -> bytes:
        shop.read.append(end - start)
        return read(bucket, name, start, end)

    monkeypatch.setattr(Bucket, "read", counted)
    yield shop
    engine.dispose()


def test_a_few_rows_of_a_large_dataset_cost_a_part_of_it_and_give_the_same_result(shop: Shop) -> None:
    """140 of 2000 rows, which is 7 %; each format's directory and labels come on top."""
    model = shop.model()
    hashes = {}
    for make in (npz, tar, parquet):
        file, declaration = make(shop.folder)
        dataset = shop.dataset(file, declaration)
        if make is npz:
            done = shop.job(model, dataset, "inspects")
            hashes["whole"] = done.graph_sha256
        shop.read.clear()
        done = shop.job(model, dataset, f"has nothing of {file.name}")
        assert done.state == "succeeded", done.problem
        hashes[file.name] = done.graph_sha256
        share = sum(shop.read) / file.stat().st_size
        print(f"{file.name}: {sum(shop.read):,} of {file.stat().st_size:,} bytes, {share:.1%}")
        assert share < 0.35
    assert None not in hashes.values()
    assert len(set(hashes.values())) == 1, hashes
