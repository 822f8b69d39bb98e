"""What a worker does with a job, and the library that does it: `worker.compression`."""

import os

SILENT = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "DO_NOT_TRACK")
"""Read by ONNX Runtime and by what tokenizers brings along when they are imported: nothing here calls anyone. OpenVINO
reads no variable: `worker.compression.runtime.on_openvino` has its."""

for _name in SILENT:
    os.environ.setdefault(_name, "1")
