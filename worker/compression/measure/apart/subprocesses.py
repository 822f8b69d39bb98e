"""Measuring processes as this process's own children: how the library is used without the service."""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from winnow.contract.errors import Problem, Refusal
from winnow.contract.target import Target
from worker.compression.measure.apart.processes import Comparing, Comparison, Loadable, Loaded, ProcessEnded
from worker.compression.progress import Progress

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 600
COMPARING: Final = TypeAdapter(Comparing)
COMPARED: Final[TypeAdapter[Comparison | Problem]] = TypeAdapter(Comparison | Problem)


class Subprocesses:
    """`MeasuringProcesses` that run `fresh`, `loading` and `compare_apart`, which die with this process."""

    def load(self, model: Path, feed: Path, threads: int, target: Target) -> Loaded:
        arguments = ["worker.compression.measure.apart.fresh", str(model), str(feed), str(threads), target]
        return Loaded(**_last_line(arguments))

    def try_loading(self, model: Path, target: Target) -> Loadable:
        return Loadable(**_last_line(["worker.compression.runtime.loading", str(model), target]))

    def compare(self, comparing: Comparing, scratch: Path, progress: Progress) -> Comparison:
        with tempfile.TemporaryDirectory(dir=scratch, prefix="compare-") as folder:
            files = Path(folder) / "comparing.json", Path(folder) / "compared.json"
            files[0].write_bytes(COMPARING.dump_json(comparing))
            command = [sys.executable, "-m", "worker.compression.measure.compare_apart", *map(str, files)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    _pass_on(json.loads(line), progress)
            if process.returncode or not files[1].exists():
                raise ProcessEnded(_ending(process.returncode))
            compared = COMPARED.validate_json(files[1].read_bytes())
        if isinstance(compared, Comparison):
            return compared
        raise Refusal(compared.code, compared.detail, field=compared.field, layer=compared.layer)


def _last_line(arguments: list[str]) -> dict[str, Any]:
    """Run a module of ours and read the JSON that it prints last."""
    command = [sys.executable, "-m", *arguments]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS, check=True)
    except subprocess.TimeoutExpired as error:
        raise ProcessEnded(f"took longer than {LOAD_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        log.error("%s: %s", arguments[0], error.stderr)
        raise ProcessEnded(_ending(error.returncode)) from error
    printed: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return printed


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _pass_on(message: dict[str, Any], progress: Progress) -> None:
    if "fraction" in message:
        progress.advance(message["fraction"])
    else:
        progress.log(message["message"], message["level"], **message["values"])
