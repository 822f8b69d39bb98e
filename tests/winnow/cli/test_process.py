"""`winnow` as a process: what it imports, Ctrl-C, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
import pytest

from tests.support.digits import Digits
from tests.support.service import WINNOW, Service
from winnow.client import Client
from winnow.contract.job import FINISHED

DATA = ("--calibration", "{data}:1000:1200", "--evaluation", "{data}:1200:1797", "--metric", "top1")


def start(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        [*WINNOW, *(str(argument) for argument in arguments)],
        env=os.environ | {"PYTHONPATH": root} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]", seconds: float = 120) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err
    return process.returncode, out, err


def left_over(mark: str, seconds: float = 15) -> list[psutil.Process]:
    """Processes that carry the mark in their environment, after so many seconds at most."""
    deadline = time.monotonic() + seconds
    while (found := [p for p in psutil.process_iter() if _carries(p, mark)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("WINNOW_TEST_MARK") == mark
    except psutil.Error:
        return False


def folders_of_ours(folder: Path) -> list[Path]:
    return [path for path in folder.glob("winnow-*") if path.is_dir()]


def run(files: Digits, declaration: Path, *more: object) -> list[object]:
    data = [part.format(data=files.data) for part in DATA]
    return ["run", files.model, "--step", "int8_static", *data, "--declaration", declaration, *more]


def test_the_command_line_imports_nothing_of_the_service() -> None:
    heavy = {"fastapi", "starlette", "uvicorn", "celery", "kombu", "sqlalchemy", "numpy", "torch", "onnx"}
    code = f"import sys, winnow.cli.commands; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_reader_that_goes_away_is_no_crash(winnow: Service) -> None:
    with start("jobs", "--url", winnow.url) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_ctrl_c_leaves_a_watched_job_alone(winnow: Service, files: Digits) -> None:
    for process in winnow.workers("cpu"):
        process.suspend()
    try:
        with Client(winnow.url) as client:
            model = client.upload_model(files.model).id
            watching = start("submit", model, "--step", "int8_dynamic", "--watch", "--url", winnow.url)
            assert watching.stdout is not None
            job = watching.stdout.readline().strip()
            time.sleep(1)
            watching.send_signal(signal.SIGINT)
            code, _, err = ended(watching)
            assert code == 130
            assert f"winnow cancel {job}" in err
            assert client.job(job).state not in FINISHED
            client.cancel(job)
    finally:
        for process in winnow.workers("cpu"):
            process.resume()


def test_run_does_it_all_and_leaves_nothing_but_the_result(
    files: Digits, declaration: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.onnx"
    process = start(
        *run(files, declaration, "--out", small, "--rounds", 9),
        TMPDIR=str(tmp_path),
        WINNOW_TEST_MARK=str(tmp_path),
    )
    code, out, err = ended(process)
    assert code == 0, err
    assert "latency" in out
    assert str(small) in err
    image = np.zeros((1, 1, 8, 8), np.float32)
    session = ort.InferenceSession(small, providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": image})[0].shape == (1, 10)
    assert left_over(str(tmp_path)) == []
    assert small.exists()
    assert folders_of_ours(tmp_path) == []


@pytest.mark.parametrize(
    ("phrase", "number"),
    [
        ("starting a service", signal.SIGINT),
        ("starting a service", signal.SIGHUP),
        ("job_", signal.SIGINT),
        ("job_", signal.SIGTERM),
    ],
)
def test_an_interrupted_run_stops_all_it_started(
    files: Digits, tmp_path: Path, phrase: str, number: signal.Signals
) -> None:
    more = ("--out", tmp_path / "small.onnx", "--rounds", 1000, "--batch-size", 64)
    job = ("run", files.model, "--step", "int8_dynamic", *more)
    process = start(*job, TMPDIR=str(tmp_path), WINNOW_TEST_MARK=str(tmp_path))
    assert process.stderr is not None
    seen = ""
    while phrase not in seen:
        line = process.stderr.readline()
        assert line, f"it ended before it said {phrase!r}: {seen}"
        seen += line
    process.send_signal(number)
    code, _, _ = ended(process)
    assert code == 130
    assert left_over(str(tmp_path)) == []
    assert folders_of_ours(tmp_path) == []
    assert not (tmp_path / "small.onnx").exists()
