"""What both models are computed in by the runtime that measured them: read from it, and never from the file."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from winnow.contract.arithmetic import Arithmetic, Kernels
from winnow.contract.target import OPENVINO_ARITHMETIC
from worker.compression.measure.arithmetic.by_execution_graph import kernels_of_openvino
from worker.compression.measure.arithmetic.by_profile import kernels_of_onnxruntime
from worker.compression.measure.arithmetic.kernels import TooLarge, shares
from worker.compression.measure.arithmetic.named_copy import named_copy
from worker.compression.measure.arithmetic.words import in_words
from worker.compression.measure.feeds import BenchmarkData
from worker.compression.measure.network import Feed, Network
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.runtime.on_onnxruntime import CUDA
from worker.compression.runtime.session import CPU
from worker.compression.runtime.targets import RUNTIME_NAMES

MAX_BYTES: Final = 256 << 20
"""Of a file: it is loaded and optimized once more."""

log = logging.getLogger(__name__)


def measure_arithmetic(pair: tuple[Network, Network], work: BenchmarkData) -> Arithmetic:
    """Load both once more as they are measured first, in a folder beside the candidate, and tell their nodes apart.
    Raises what `benchmark_feed` does, and nothing else: `says` has why something could not be told."""
    feed, _ = work.feed(pair[0].inputs)
    threads = work.benchmark.thread_counts[0]
    told: list[Kernels | None] = []
    why: list[str] = []
    for network in pair:
        try:
            told.append(_kernels(network, feed, threads, pair[1].file.parent))
        except TooLarge as too_large:
            told.append(None)
            why.append(str(too_large))
        except Exception as error:  # the runtimes' own errors have no common base
            log.exception("what %s is computed in could not be told", network.role)
            told.append(None)
            why.append(f"What {network.role} is computed in could not be told ({type(error).__name__}).")
    before, after = told
    runtime = RUNTIME_NAMES[pair[0].target]
    says = " ".join([*in_words(runtime, before, after), *dict.fromkeys(why)])
    return Arithmetic(runtime=runtime, before=before, after=after, says=says)


def _kernels(network: Network, feed: Feed, threads: int, folder: Path) -> Kernels:
    if bytes_of(network.file) > MAX_BYTES:
        raise TooLarge(f"What files of more than {MAX_BYTES} bytes are computed in is not looked at.")
    fitted = network.fit(feed)
    with TemporaryDirectory(dir=folder) as name:
        graph, path = named_copy(network.file, Path(name))
        if network.target in OPENVINO_ARITHMETIC:
            shapes = {of: list(x.shape) for of, x in fitted.items()}
            return shares(kernels_of_openvino(path, graph, shapes, threads, network.target))
        providers = (CUDA, CPU) if network.target == "onnxruntime-cuda" else (CPU,)
        return shares(kernels_of_onnxruntime(path, Path(name), fitted, threads, providers))
