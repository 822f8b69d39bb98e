"""Small transformers in torch, as exporters write them: x float32 [N, 6, 24] → y float32 [N, 6, 5].

One layer of attention and one feed-forward part behind a projection to the stream, and a head; every way in which
networks of the field write their parts.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import onnx
import torch
from torch import Tensor, nn

from tests.support.onnx_export import Exporter, export_onnx

INPUT, LENGTH, STREAM, INNER, OUTPUT = 10, 6, 24, 40, 5


@dataclass(frozen=True)
class Style:
    """`heads` of queries share `key_value_heads` of keys and values. `qkv`: one layer for each, one for all that puts
    queries before keys before values (`fused`), or that does so head by head (`interleaved`, as in GPT-NeoX)."""

    heads: int = 4
    key_value_heads: int = 4
    qkv: Literal["separate", "fused", "interleaved"] = "separate"
    rotary: bool = False
    feed_forward: Literal["gelu", "swiglu", "geglu_fused"] = "gelu"
    norm: Literal["pre", "post"] = "pre"
    rms: bool = False
    written_out: bool = False
    """Attention as products and a softmax, rather than by torch's own function."""
    beside_batch: bool = False
    """One axis counts samples and heads, as in torch's `MultiheadAttention`."""
    by_group: bool = False
    """Queries lie along an axis of their own beside that of the keys that they share."""


STYLES: Final[dict[str, Style]] = {
    "separate": Style(),
    "written_out": Style(written_out=True, norm="post"),
    "fused": Style(qkv="fused"),
    "fused_written_out": Style(qkv="fused", written_out=True, norm="post"),
    "interleaved": Style(qkv="interleaved", written_out=True),
    "grouped": Style(key_value_heads=2),
    "one_key": Style(key_value_heads=1),
    "rotary": Style(rotary=True),
    "llama": Style(key_value_heads=2, rotary=True, feed_forward="swiglu", rms=True),
    "glu_fused": Style(feed_forward="geglu_fused", norm="post"),
    "grouped_by_axis": Style(key_value_heads=2, written_out=True, by_group=True),
    "beside_batch": Style(written_out=True, beside_batch=True),
    "many_heads": Style(heads=12, key_value_heads=12),
}


class RMSNorm(nn.Module):
    """As Llama writes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class Attention(nn.Module):
    def __init__(self, style: Style) -> None:
        super().__init__()
        self.style, self.width = style, STREAM // style.heads
        shared = style.key_value_heads * self.width
        if style.qkv == "separate":
            self.query, self.key, self.value = (nn.Linear(STREAM, n) for n in (STREAM, shared, shared))
        else:
            self.qkv = nn.Linear(STREAM, 3 * STREAM)
        self.out = nn.Linear(STREAM, STREAM)
        angles = torch.outer(torch.arange(LENGTH), 10 ** -torch.linspace(0, 1, self.width // 2)).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        if self.style.rotary:
            q, k = self.turned(q), self.turned(k)
        groups = self.style.heads // self.style.key_value_heads
        if self.style.by_group:
            q, k, v = q.unflatten(1, (-1, groups)), k[:, :, None], v[:, :, None]
        elif groups > 1:
            k, v = (self.repeated(part, groups) for part in (k, v))
        if self.style.written_out:
            if self.style.beside_batch:
                q, k, v = (part.reshape(-1, LENGTH, self.width) for part in (q, k, v))
            mixed = (q @ k.transpose(-1, -2) / self.width**0.5).softmax(-1) @ v
            mixed = mixed.reshape(x.shape[0], self.style.heads, x.shape[1], self.width)
        else:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        made: Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1))
        return made

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each [N, heads, LENGTH, width]."""
        rows = x.shape[:2]
        if self.style.qkv == "separate":
            made = (self.query(x), self.key(x), self.value(x))
            q, k, v = (part.view(*rows, -1, self.width).transpose(1, 2) for part in made)
        elif self.style.qkv == "fused":
            q, k, v = self.qkv(x).reshape(*rows, 3, -1, self.width).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = self.qkv(x).view(*rows, -1, 3 * self.width).transpose(1, 2).chunk(3, -1)
        return q, k, v

    def turned(self, x: Tensor) -> Tensor:
        first, second = x[..., : self.width // 2], x[..., self.width // 2 :]
        return x * self.cos + torch.cat([-second, first], -1) * self.sin

    def repeated(self, x: Tensor, groups: int) -> Tensor:
        n, heads, length, width = x.shape
        return x[:, :, None].expand(n, heads, groups, length, width).reshape(n, -1, length, width)


class FeedForward(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.up = nn.Linear(STREAM, INNER * (2 if kind == "geglu_fused" else 1))
        self.down = nn.Linear(INNER, STREAM)
        if kind == "swiglu":
            self.gate = nn.Linear(STREAM, INNER)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "swiglu":
            inner = nn.functional.silu(self.gate(x)) * self.up(x)
        elif self.kind == "geglu_fused":
            inner, gate = self.up(x).chunk(2, -1)
            inner = inner * nn.functional.gelu(gate)
        else:
            inner = nn.functional.gelu(self.up(x))
        made: Tensor = self.down(inner)
        return made


class Transformer(nn.Module):
    def __init__(self, style: Style) -> None:
        super().__init__()
        self.style = style
        self.embed, self.head = nn.Linear(INPUT, STREAM), nn.Linear(STREAM, OUTPUT)
        self.attention, self.feed_forward = Attention(style), FeedForward(style.feed_forward)
        self.norms = nn.ModuleList(RMSNorm(STREAM) if style.rms else nn.LayerNorm(STREAM) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        first, second, last = self.norms
        x = self.embed(x)
        if self.style.norm == "pre":
            x = x + self.attention(first(x))
            x = last(x + self.feed_forward(second(x)))
        else:
            x = first(x + self.attention(x))
            x = second(x + self.feed_forward(x))
        made: Tensor = self.head(x)
        return made


@cache
def exported(name: str, exporter: Exporter, opset: int | None = None) -> onnx.ModelProto:
    """The network of this style as the exporter writes it, for batches of any size. Not to be changed."""
    torch.manual_seed(0)
    network, x = Transformer(STYLES[name]).eval(), torch.randn(2, LENGTH, INPUT)
    return export_onnx(network, [x], exporter, opset)
