"""Describe the machine that the numbers are from."""

import os
import platform
from importlib import metadata

import pynvml

from winnow.contract.report import Environment
from worker.compression.machine.cpu import cpu_facts, cpu_flags

TELLING_FLAGS = {
    *("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16"),
    *("amx_int8", "amx_bf16", "amx_tile", "asimddp", "i8mm", "bf16", "sve", "fphp", "asimdhp"),
}
"""What int8 and half-precision kernels choose by; `asimddp` is Arm's dot product."""
PACKAGES = ("winnow-service", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "openvino", "numpy")


def describe(intra_op_threads: int) -> Environment:
    return Environment(
        cpu=cpu_facts().get("model name") or platform.processor() or platform.machine(),
        cpu_flags=sorted(TELLING_FLAGS & cpu_flags()),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=describe_gpus(),
        platform=platform.platform(),
        versions={"python": platform.python_version(), **_versions()},
        intra_op_threads=intra_op_threads,
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            # the report calls the service `winnow`
            versions[name.removesuffix("-service")] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_gpus() -> list[str]:
    """Name, memory and driver of each, as `nvidia-smi` tells them; none where there is no driver."""
    try:
        pynvml.nvmlInit()
        try:
            driver = pynvml.nvmlSystemGetDriverVersion()
            return [_described(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return []


def _described(index: int, driver: str) -> str:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory_mib = pynvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20
    return f"{pynvml.nvmlDeviceGetName(handle)}, {memory_mib} MiB, {driver}"
