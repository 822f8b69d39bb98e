"""The parts of a loss, of two tensors each; a mean over the samples.

Logits are [N, C, …], class numbers [N, …]:

cross entropy      −Σ y log p                           labels (0 where a label is `UNLABELLED`), or the teacher's
                                                        most likely class
soft labels        T² Σ q_T (log q_T − log p_T)         q_T, p_T: softmax(logits / T)
                                                        (Hinton et al. 2015, arXiv:1503.02531)
squared error      mean (ŷ − y)²
direction          1 − cos(ŷ, y)                        along the last axis
"""

import torch
from torch.nn import functional

from winnow.contract.fitting import UNLABELLED


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Unlabelled ones count among those that the mean is of, so that a labelled one weighs the same in every batch."""
    total = functional.cross_entropy(
        logits, labels, label_smoothing=smoothing, ignore_index=UNLABELLED, reduction="sum"
    )
    return total / labels.numel()


def soft_labels(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    logp = torch.log_softmax(student / temperature, 1)
    logq = torch.log_softmax(teacher / temperature, 1)
    return temperature**2 * (logq.exp() * (logq - logp)).sum(1).mean()


def squared_error(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(student, target)


def direction(student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (1 - functional.cosine_similarity(student, target, dim=-1)).mean()


def wide(x: torch.Tensor) -> torch.Tensor:
    """In float32 at least: under autocast values may come in less."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
