"""What a technique is given besides the graph and its step, and what it answers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.progress import Progress


@dataclass(frozen=True)
class Context:
    """`scratch` is an empty folder of the step's own. `calibration` is there when the step needs it."""

    scratch: Path
    seed: int
    progress: Progress
    calibration: Samples | None = None


@dataclass(frozen=True)
class Changed:
    """The graph after a step: `changed` of `candidates` nodes; `details` goes into the report as it is."""

    model: ir.Model
    changed: int
    candidates: int
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
