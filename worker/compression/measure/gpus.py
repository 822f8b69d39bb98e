"""The GPUs of this machine, asked of NVIDIA's management library: a process that does a job may start no program."""

import pynvml


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
