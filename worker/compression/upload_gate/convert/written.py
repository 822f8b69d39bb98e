"""What every converted model goes through on its way to the disk."""

import logging
from pathlib import Path
from typing import Final

import onnx_ir as ir

from worker.compression.graph.normal_form.normalise import check
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.onnx_files.model_files import save

log = logging.getLogger(__name__)

OPSET: Final = 18
"""What torch's exporter writes natively; any lower one it would only reach by converting down."""


def write(model: ir.Model, path: Path) -> None:
    """Strip the exporter's debug records, check, and write one file. Raises `Refusal` `invalid_model`."""
    model.metadata_props.clear()
    log.info("converted; debug records removed: %d bytes", tidy(model))
    check(model)
    save(model, path)
