"""What a worker does with a job, and the library that does it: `worker.compression`."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""Read by ONNX Runtime when it is imported: nothing here calls anyone."""
