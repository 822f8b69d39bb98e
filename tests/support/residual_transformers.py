"""Transformers of the field, small, in torch, as their papers write them; weights are random.

Ids are int64 [N, 12] below `WORDS`; y float32 [N, …].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.support.residual_parts import Call, Residual, Scale
from tests.support.transformers import RMSNorm

WORDS, LENGTH, WIDTH, HEADS = 50, 12, 32, 4


class Attention(nn.Module):
    """Of x [N, T, W] to itself or to a context; `causal`: to what came before alone. `bias` [heads, T, T] is added."""

    def __init__(self, width: int = WIDTH, *, causal: bool = False) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.causal = causal

    def forward(self, x: Tensor, context: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        seen = x if context is None else context
        parts = (self.query(x), self.key(seen), self.value(seen))
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=self.causal)
        made: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return made


class Normed(nn.Module):
    """body(norm(x), …)."""

    def __init__(self, body: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.body, self.norm = body, norm

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        made: Tensor = self.body(self.norm(x), *more)
        return made


def feed_forward(width: int = WIDTH, act: type[nn.Module] = nn.GELU) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), act(), nn.Linear(4 * width, width))


def pre(body: nn.Module, width: int = WIDTH, norm: type[nn.Module] = nn.LayerNorm) -> nn.Module:
    return Residual(Normed(body, norm(width)))


def post(body: nn.Module) -> nn.Module:
    return Residual(body, behind=nn.LayerNorm(WIDTH))


class Embedding(nn.Module):
    """Words and places, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(WORDS, WIDTH), nn.LayerNorm(WIDTH)
        self.places = nn.Parameter(torch.randn(LENGTH, WIDTH))

    def forward(self, ids: Tensor) -> Tensor:
        made: Tensor = self.norm(self.words(ids) + self.places)
        return made


def bert() -> nn.Module:
    """Devlin et al. 2019: three layers, normalised behind each addition; y [N, 5] of the first word."""
    layers = (part for _ in range(3) for part in (post(Attention()), post(feed_forward())))
    return nn.Sequential(Embedding(), *layers, Call(lambda x: x[:, 0]), nn.Linear(WIDTH, 5))


class Gpt(nn.Module):
    """Radford et al. 2019: three layers, causal; y [N, 12, words] by the table itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = Embedding(), nn.LayerNorm(WIDTH)
        self.layers = nn.Sequential(
            *(part for _ in range(3) for part in (pre(Attention(causal=True)), pre(feed_forward())))
        )

    def forward(self, ids: Tensor) -> Tensor:
        made: Tensor = self.norm(self.layers(self.embedding(ids))) @ self.embedding.words.weight.T
        return made


class T5(nn.Module):
    """Raffel et al. 2020: encoder and decoder of two layers, places by a bias of attention that all layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.bias = nn.Parameter(torch.randn(HEADS, LENGTH, LENGTH))
        self.causal_bias = nn.Parameter(torch.randn(HEADS, LENGTH, LENGTH).triu(1) * -1e4)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for _ in range(2):
            self.encoder.extend([self._pre(Attention()), self._pre(feed_forward(act=nn.ReLU))])
            crossed = [self._pre(Attention()), self._pre(Attention()), self._pre(feed_forward(act=nn.ReLU))]
            self.decoder.extend(crossed)
        self.norm, self.last, self.head = RMSNorm(WIDTH), RMSNorm(WIDTH), nn.Linear(WIDTH, WORDS)

    def _pre(self, body: nn.Module) -> nn.Module:
        return pre(body, norm=RMSNorm)

    def forward(self, ids: Tensor, before: Tensor) -> Tensor:
        x = self.words(ids)
        for number, part in enumerate(self.encoder):
            x = part(x) if number % 2 else part(x, None, self.bias)
        context, y = self.norm(x), self.words(before)
        for own, cross, wide in zip(*(self.decoder[n::3] for n in range(3)), strict=True):
            y = wide(cross(own(y, None, self.causal_bias), context))
        made: Tensor = self.head(self.last(y))
        return made


class Vit(nn.Module):
    """Dosovitskiy et al. 2021: x [N, 3, 32, 32] → y [N, 10]; three layers, with LayerScale as DeiT III has it."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Parameter(torch.randn(17, WIDTH))
        bodies = (part for _ in range(3) for part in (Attention(), feed_forward()))
        self.layers = nn.Sequential(*(pre(nn.Sequential(body, Scale(WIDTH))) for body in bodies))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        made: Tensor = self.head(self.norm(self.layers(x))[:, 0])
        return made


class Window(nn.Module):
    """Attention within windows of 4 × 4, `shifted` by half of one; x [N, H, W, C]."""

    def __init__(self, width: int, side: int, *, shifted: bool) -> None:
        super().__init__()
        self.attention, self.side, self.shift = Attention(width), side, 2 if shifted and side > 4 else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        tiles, width = self.side // 4, x.shape[-1]
        x = x.reshape(-1, tiles, 4, tiles, 4, width).transpose(2, 3).reshape(-1, 16, width)
        x = self.attention(x)
        x = x.reshape(-1, tiles, tiles, 4, 4, width).transpose(2, 3).reshape(-1, self.side, self.side, width)
        return x.roll((self.shift, self.shift), (1, 2)) if self.shift else x


class Merge(nn.Module):
    """Four neighbours become one of twice the width; x [N, H, W, C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, top::2, left::2] for left in (0, 1) for top in (0, 1)]
        made: Tensor = self.reduction(self.norm(torch.cat(corners, -1)))
        return made


def swin() -> nn.Module:
    """Liu et al. 2021: x [N, 3, 32, 32] → y [N, 10]; two stages of two layers, the second of each shifted."""

    def stage(width: int, side: int) -> list[nn.Module]:
        layers = (
            (pre(Window(width, side, shifted=odd), width), pre(feed_forward(width), width))
            for odd in (False, True)
        )
        return [part for layer in layers for part in layer]

    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 4, 4), Call(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(WIDTH),
        *stage(WIDTH, 8), Merge(WIDTH), *stage(2 * WIDTH, 4),
        nn.LayerNorm(2 * WIDTH), Call(lambda x: x.mean((1, 2))), nn.Linear(2 * WIDTH, 10),
    )  # fmt: skip


def mixer() -> nn.Module:
    """Tolstikhin et al. 2021: x [N, 3, 32, 32] → y [N, 10]; two layers that mix places, then channels."""

    def turned(body: nn.Module) -> nn.Module:
        return nn.Sequential(Call(lambda x: x.transpose(1, 2)), body, Call(lambda x: x.transpose(1, 2)))

    layers = (part for _ in range(2) for part in (pre(turned(feed_forward(16))), pre(feed_forward())))
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 8, 8), Call(lambda x: x.flatten(2).transpose(1, 2)), *layers,
        nn.LayerNorm(WIDTH), Call(lambda x: x.mean(1)), nn.Linear(WIDTH, 10),
    )  # fmt: skip


class Convolution(nn.Module):
    """The Conformer's, along time; x [N, T, W]."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv1d(WIDTH, 2 * WIDTH, 1), nn.Conv1d(WIDTH, WIDTH, 1)
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH, bias=False)
        self.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.wide(x.transpose(1, 2)), 1)
        x = self.narrow(functional.silu(self.norm(self.depthwise(x))))
        return x.transpose(1, 2)


def conformer() -> nn.Module:
    """Gulati et al. 2020: x [N, 40, 20] → y [N, 40, 10]; two layers of half a feed-forward, attention, convolution and
    the other half, normalised behind."""

    def half() -> nn.Module:
        return pre(nn.Sequential(feed_forward(act=nn.SiLU), Call(lambda x: 0.5 * x)))

    layers = (
        part
        for _ in range(2)
        for part in (half(), pre(Attention()), pre(Convolution()), half(), nn.LayerNorm(WIDTH))
    )
    return nn.Sequential(nn.Linear(20, WIDTH), *layers, nn.Linear(WIDTH, 10))


def torch_encoder() -> nn.Module:
    """torch's own layers: x [N, 12, 32] → y the same."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


class TorchTransformer(nn.Module):
    """torch's own encoder and decoder of two layers: x, x1 [N, 12, 32] → y the same."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Transformer(WIDTH, HEADS, 2, 2, 64, batch_first=True)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        made: Tensor = self.both(x, before)
        return made
