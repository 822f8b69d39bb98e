"""Relations of the values of attention (Wang et al. 2021, MiniLMv2, arXiv:2012.15828).

The values of all heads together, [N, T, W], are split anew into A relation heads of W / A numbers; for each

    R = softmax(V Vᵀ / √(W / A)),  T × T        loss = mean over rows of Σ R_teacher (log R_teacher − log R_student)

so that neither widths nor numbers of heads have to be equal. A is the largest number up to 48 that divides both widths.
"""

import math
from collections.abc import Mapping
from typing import Final

import torch

MAX_RELATION_HEADS: Final = 48
"""As many as MiniLMv2 takes for a teacher of BERT's base size."""
APART: Final = 4
"""Axes of values whose heads are apart, [N, heads, T, d]."""


def together(values: torch.Tensor, heads: int = 1) -> torch.Tensor:
    """Bring values to [N, T, W], from that, from [N, heads, T, d], or from [N · heads, T, d] with so many `heads`."""
    apart = values.reshape(-1, heads, *values.shape[1:]) if heads > 1 else values
    return apart.transpose(1, 2).flatten(2) if apart.ndim == APART else apart


def all_together(values: Mapping[str, torch.Tensor], heads: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """Bring those together that `heads` names, with how many of them their first axis has: samples come first in all of
    them then, as in what is left as it is."""
    return {name: together(x, heads[name]) if name in heads else x for name, x in values.items()}


def relation_heads(student: int, teacher: int) -> int:
    """Count the relation heads for these widths."""
    common = math.gcd(student, teacher)
    return max(heads for heads in range(1, MAX_RELATION_HEADS + 1) if common % heads == 0)


def log_relations(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute log R [N, heads, T, T] of values [N, T, W]."""
    split = values.reshape(*values.shape[:2], heads, -1).transpose(1, 2)
    return torch.log_softmax(split @ split.transpose(2, 3) / math.sqrt(split.shape[-1]), -1)


def relation_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Compute the loss, a scalar, of values [N, T, W] each: N and T are the same of both."""
    heads = relation_heads(student.shape[2], teacher.shape[2])
    log_p, log_q = log_relations(student, heads), log_relations(teacher, heads)
    return (log_q.exp() * (log_q - log_p)).sum(-1).mean()
