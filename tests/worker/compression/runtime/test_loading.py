"""Whether a runtime can load a file is found out where it may crash or hang."""

import signal
import subprocess
import sys
from pathlib import Path

import onnx_ir as ir
import pytest

from tests.support.openvino import needs_openvino, with_unknown_operator
from tests.support.small_nets import digits_net
from winnow.contract.target import Target
from winnow.contract.target_rules.onnx_file import graph_of_file
from worker.compression.measure.apart.processes import Loadable, ProcessEnded
from worker.compression.measure.apart.subprocesses import Subprocesses
from worker.compression.result.portability import portability
from worker.compression.runtime.loading import try_loading
from worker.compression.runtime.targets import is_installed

pytestmark = pytest.mark.usefixtures("openvino_tried")


class Crashing(Subprocesses):
    def try_loading(self, model: Path, target: Target) -> Loadable:
        raise ProcessEnded("was ended by signal 11")


def test_operators_outside_of_onnx_stand_against_a_plain_onnx_runtime(tmp_path: Path) -> None:
    ir.save(digits_net(), tmp_path / "plain.onnx")
    plain, other = (
        portability(path, graph_of_file(path), Crashing())[0]
        for path in (tmp_path / "plain.onnx", with_unknown_operator(tmp_path / "c.onnx"))
    )
    assert (plain.loads, plain.why, plain.operators) == (True, None, [])
    assert (other.loads, other.operators) == (False, ["com.microsoft.NoSuchThing"])


@needs_openvino
def test_openvino_is_tried_in_a_process_of_its_own(tmp_path: Path) -> None:
    ir.save(digits_net(), tmp_path / "plain.onnx")
    plain, other = (
        portability(path, graph_of_file(path), Subprocesses())[1]
        for path in (tmp_path / "plain.onnx", with_unknown_operator(tmp_path / "c.onnx"))
    )
    assert (plain.loads, plain.why, plain.operators) == (True, None, [])
    assert (other.loads, other.operators) == (False, ["com.microsoft.NoSuchThing"])


def test_a_crash_is_a_file_that_does_not_load_and_a_missing_runtime_is_not_told(tmp_path: Path) -> None:
    path = with_unknown_operator(tmp_path / "c.onnx")
    entry = portability(path, graph_of_file(path), Crashing())[1]
    if is_installed("openvino-cpu"):
        assert (entry.loads, entry.why) == (False, "The process that loaded it was ended by signal 11.")
    else:
        assert (entry.loads, entry.why) == (None, "OpenVINO is not installed on the worker.")


def test_what_onnx_runtime_cannot_load_has_a_reason(tmp_path: Path) -> None:
    told = try_loading(with_unknown_operator(tmp_path / "c.onnx"), "onnxruntime-cpu")
    assert "NoSuchThing" in told["why"]
    assert str(tmp_path) not in told["why"]


def test_a_runtime_that_hangs_is_ended_by_the_kernel() -> None:
    code = """if True:
        import time, pathlib
        from worker.compression.runtime import loading
        loading.MAX_SECONDS = 1
        loading.opener = lambda target: lambda model, threads: time.sleep(60)
        loading.try_loading(pathlib.Path("model.onnx"), "onnxruntime-cpu")"""
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
    assert done.returncode == -signal.SIGALRM
