"""The loss that says how much a model minds a change, on calibration samples with labels or without.

It is the cross-entropy of the head's output with the labels where the samples have class numbers, else (and of a sample
without a label) with the model's own most likely class; for an output that is not [N, C], its squared norm.
"""

import torch
from torch.nn import functional

from winnow.contract.fitting import UNLABELLED
from worker.compression.training.goal.head import Head


def calibration_loss(output: torch.Tensor, head: Head, labels: torch.Tensor | None) -> torch.Tensor:
    """The mean over samples, a scalar; `output` as `head` reads it, [N, C] where it means classes."""
    if head.meaning != "classification":
        return output.float().square().sum() / len(output)
    return functional.cross_entropy(output, _classes(output, labels))


def _classes(output: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """Take the labels where they are numbers of these classes, one a sample, else the most likely classes."""
    likely = output.detach().argmax(1)
    if labels is not None and not labels.is_floating_point() and labels.numel() == len(output):
        classes = labels.long().view(len(output))
        if int(classes.min()) >= UNLABELLED and int(classes.max()) < output.shape[1]:
            return torch.where(classes == UNLABELLED, likely, classes)
    return likely
