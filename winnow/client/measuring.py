"""Models measured on this machine, by the worker's library in a process of its own."""

import subprocess
import sys
from importlib.util import find_spec

from pydantic import ValidationError

from winnow.client.errors import ClientError
from winnow.contract.measured import Measured, MeasureRequest

MODULE = "worker.compression.measured"


def measure_here(request: MeasureRequest) -> Measured:
    """Start the library and wait for it. Raises `ClientError` where it is not installed, or refuses a file.

    `-P`: no folder of the caller's that has the same name is taken for it.
    """
    if find_spec("worker") is None or find_spec("onnxruntime") is None:
        raise ClientError("measuring needs Winnow's worker here: pip install ./winnow '.[worker]'")
    command = [sys.executable, "-P", "-m", MODULE]
    done = subprocess.run(
        command, input=request.model_dump_json(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        why = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise ClientError(f"{request.candidate} could not be measured: {why[-1]}")
    try:
        return Measured.model_validate_json(done.stdout)
    except ValidationError as error:
        raise ClientError(f"the measuring process answered something else than measures: {error}") from error
