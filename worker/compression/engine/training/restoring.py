"""Whether batch normalisation is put back for a training when the step leaves that open."""

from app.contract.recipe import Training
from worker.compression.engine.training.pair import Pair


def restores(step: Training, pair: Pair) -> bool:
    match step.batchnorm:
        case "restored":
            return True
        case "folded":
            return False
        case "auto":
            return False
