"""Scaled dot-product attention: softmax(Q Kᵀ · scale + mask) V, heads of the keys shared by those of the queries.

Q [N, heads, T, d] or [N, T, heads · d], K and V alike with S in place of T.
"""

import math
from typing import Any, Final

import torch

from worker.compression.engine.operator import Attributes, Function, Operator, Unsupported

CAPPED, WITH_MASK, PROBABILITIES = 1, 2, 3
"""What the fourth output can be, besides Q Kᵀ itself (0)."""


def attention(attributes: Attributes) -> Function:
    """ONNX's Attention (opset 23): q, k, v are [N, heads, L, D], or [N, L, heads · D] with the number of heads given.

    Raises `Unsupported` for a sliding window and for lengths of keys that are data.
    """
    heads, kv_heads = attributes.integer("q_num_heads", 0), attributes.integer("kv_num_heads", 0)
    causal, cap = attributes.integer("is_causal", 0), attributes.number("softcap", 0.0)
    scale, wanted = attributes.number("scale", 0.0), attributes.integer("qk_matmul_output_mode", 0)
    if len(attributes.node.inputs) > 6 and attributes.node.inputs[6] is not None:
        raise Unsupported("the engine knows no nonpad_kv_seqlen")
    if attributes.integer("left_window_size", -1) >= 0 or attributes.integer("right_window_size", -1) >= 0:
        raise Unsupported("the engine knows no sliding window")

    def run(
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: Any = None,
        past_k: Any = None,
        past_v: Any = None,
    ) -> tuple[torch.Tensor, ...]:
        flat = q.ndim == 3
        if flat:
            q, k, v = _in_heads(q, heads), _in_heads(k, kv_heads), _in_heads(v, kv_heads)
        past = 0
        if past_k is not None:
            past = past_k.shape[2]
            k, v = torch.cat([past_k, k], 2), torch.cat([past_v, v], 2)
        shared = q.shape[1] // k.shape[1]
        keys, values = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
        products = q @ keys.transpose(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
        capped = torch.tanh(products / cap) * cap if cap else products
        allowed = _allowed(q.shape[2], k.shape[2], past, q.device) if causal else None
        masked = _masked(capped, mask, allowed)
        shares = _softmax(masked)
        y = shares @ values
        shown = {0: products, CAPPED: capped, WITH_MASK: masked, PROBABILITIES: shares}[wanted]
        return (y.transpose(1, 2).flatten(2) if flat else y), k, v, shown

    return run


def _in_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Split [N, T, heads · d] into heads: [N, heads, T, d]."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _allowed(queries: int, keys: int, past: int, device: torch.device) -> torch.Tensor:
    """Make the mask by which query i sees the keys up to its own."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(past)


def _masked(scores: torch.Tensor, mask: torch.Tensor | None, allowed: torch.Tensor | None) -> torch.Tensor:
    """Apply a mask, which says what may be seen or is added; what it does not reach to is not seen."""
    if mask is not None:
        missing = scores.shape[-1] - mask.shape[-1]
        seen = mask.dtype == torch.bool
        if missing:
            mask = torch.nn.functional.pad(mask, [0, missing], value=False if seen else -torch.inf)
        scores = scores.masked_fill(~mask, -torch.inf) if seen else scores + mask
    return scores if allowed is None else scores.masked_fill(~allowed, -torch.inf)


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    """Compute softmax; a row that sees nothing weighs nothing."""
    nothing = (scores == -torch.inf).all(-1, keepdim=True)
    return torch.softmax(scores.masked_fill(nothing, 0.0), -1).masked_fill(nothing, 0.0)


OPERATORS: Final[dict[str, Operator]] = {"Attention": Operator(attention)}
