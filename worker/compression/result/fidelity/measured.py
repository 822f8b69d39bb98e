"""Attributions that cost nobody a job: where they cannot be had, for whatever reason, they say why."""

import logging
from pathlib import Path

from worker.compression.materials import Materials
from worker.compression.result.fidelity.attributions import Attributions

log = logging.getLogger(__name__)


def measured_attributions(artifact: Path, materials: Materials) -> Attributions:
    """Attribute the original's answers to the parts of some samples, in both models. Never raises."""
    try:
        from worker.compression.result.fidelity.fidelity import attributions  # needs torch

        return attributions(artifact, materials)
    except Exception as error:
        log.exception("nothing could be attributed")
        return Attributions(why=f"it could not be ({type(error).__name__}).")
