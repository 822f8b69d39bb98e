"""Convolutional networks of the field, small, in torch, as their papers write them; weights are random.

x float32 [N, 3, 32, 32] → y float32 [N, 10], unless a network says otherwise.
"""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.support.residual_parts import Call, Residual, Scale, SqueezeExcite, classifier, conv, normed

WIDTH = 16


def resnet() -> nn.Module:
    """He et al. 2015: three stages of two basic blocks, the first of the second and third with a projection."""
    return _stages(_basic, nn.Sequential(normed(3, WIDTH, act=nn.ReLU())), [WIDTH, 32, 64])


def regnet() -> nn.Module:
    """Bottlenecks with groups and squeeze-and-excitation (Radosavovic et al. 2020, RegNetY; ResNeXt, SE-ResNet)."""
    return _stages(_bottleneck, nn.Sequential(normed(3, WIDTH, act=nn.ReLU())), [WIDTH, 32, 64])


def preact_resnet() -> nn.Module:
    """He et al. 2016: normalisation and activation in front of each convolution."""
    network = _stages(_preact, nn.Sequential(conv(3, WIDTH)), [WIDTH, 32, 64])
    network[0].append(nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()))  # type: ignore[operator]
    return network


def _stages(
    block: Callable[[int, int, int], nn.Module], stem: nn.Sequential, widths: list[int]
) -> nn.Sequential:
    ins = WIDTH
    for width in widths:
        for stride in (1 if width == ins else 2, 1):
            stem.append(block(ins, width, stride))
            ins = width
    return classifier(stem, width=ins)


def _projection(ins: int, outs: int, stride: int) -> nn.Module | None:
    return None if ins == outs and stride == 1 else normed(ins, outs, 1, stride)


def _basic(ins: int, outs: int, stride: int) -> nn.Module:
    body = nn.Sequential(normed(ins, outs, 3, stride, act=nn.ReLU()), normed(outs, outs))
    return Residual(body, _projection(ins, outs, stride), nn.ReLU())


def _bottleneck(ins: int, outs: int, stride: int) -> nn.Module:
    body = nn.Sequential(
        normed(ins, outs, 1, act=nn.ReLU()),
        normed(outs, outs, 3, stride, groups=outs // 8, act=nn.ReLU()),
        SqueezeExcite(outs),
        normed(outs, outs, 1),
    )
    return Residual(body, _projection(ins, outs, stride), nn.ReLU())


def _preact(ins: int, outs: int, stride: int) -> nn.Module:
    body = nn.Sequential(
        nn.BatchNorm2d(ins), nn.ReLU(), conv(ins, outs, 3, stride),
        nn.BatchNorm2d(outs), nn.ReLU(), conv(outs, outs),
    )  # fmt: skip
    return Residual(body, None if ins == outs and stride == 1 else conv(ins, outs, 1, stride))


def mobilenet_v2() -> nn.Module:
    """Sandler et al. 2018: two stages of three inverted residuals, the first of each without a shortcut."""
    return _inverted(nn.ReLU6, gate=False)


def efficientnet() -> nn.Module:
    """Tan & Le 2019: the same with squeeze-and-excitation and SiLU."""
    return _inverted(nn.SiLU, gate=True)


def _inverted(act: Callable[[], nn.Module], *, gate: bool) -> nn.Module:
    parts, ins = [normed(3, WIDTH, 3, 2, act=act())], WIDTH
    for width in (24, 40):
        for stride in (2, 1, 1):
            inner = 4 * ins
            body = nn.Sequential(
                normed(ins, inner, 1, act=act()),
                normed(inner, inner, 3, stride, inner, act=act()),
                *([SqueezeExcite(inner)] if gate else []),
                normed(inner, width, 1),
            )
            parts.append(Residual(body) if ins == width else body)
            ins = width
    return classifier(*parts, normed(ins, 64, 1, act=act()), width=64)


def channels_last() -> nn.Module:
    return Call(lambda x: x.permute(0, 2, 3, 1))


def channels_first() -> nn.Module:
    return Call(lambda x: x.permute(0, 3, 1, 2))


def convnext() -> nn.Module:
    """Liu et al. 2022: two stages of two blocks, a normalised convolution between them."""

    def block(width: int) -> nn.Module:
        return Residual(
            nn.Sequential(
                nn.Conv2d(width, width, 7, padding=3, groups=width),
                channels_last(), nn.LayerNorm(width),
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), Scale(width),
                channels_first(),
            )
        )  # fmt: skip

    def norm(width: int) -> nn.Module:
        return nn.Sequential(channels_last(), nn.LayerNorm(width), channels_first())

    first, second = WIDTH, 2 * WIDTH
    return classifier(
        nn.Conv2d(3, first, 4, 4), norm(first), block(first), block(first),
        norm(first), nn.Conv2d(first, second, 2, 2), block(second), block(second),
        width=second,
    )  # fmt: skip


def convmixer() -> nn.Module:
    """Trockman & Kolter 2022: depthwise convolutions with a shortcut, pointwise ones without."""
    parts: list[nn.Module] = [nn.Conv2d(3, WIDTH, 4, 4), nn.GELU(), nn.BatchNorm2d(WIDTH)]
    for _ in range(3):
        depthwise = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH)
        parts.append(Residual(nn.Sequential(depthwise, nn.GELU(), nn.BatchNorm2d(WIDTH))))
        parts += [nn.Conv2d(WIDTH, WIDTH, 1), nn.GELU(), nn.BatchNorm2d(WIDTH)]
    return classifier(*parts, width=WIDTH)


def edsr() -> nn.Module:
    """Lim et al. 2017: y [N, 3, 64, 64]; four blocks inside one more shortcut."""

    def block() -> nn.Module:
        layers = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
        return Residual(nn.Sequential(*layers, Call(lambda x: 0.1 * x)))

    body = nn.Sequential(*(block() for _ in range(4)), nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, padding=1), Residual(body),
        nn.Conv2d(WIDTH, 12, 3, padding=1), nn.PixelShuffle(2),
    )  # fmt: skip


class ResidualUNet(nn.Module):
    """y [N, 2, 32, 32]: down, up, and what was before beside it (Ronneberger et al. 2015; Zhang et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(normed(3, WIDTH, act=nn.ReLU()), _basic(WIDTH, WIDTH, 1))
        self.middle = nn.Sequential(
            nn.MaxPool2d(2), normed(WIDTH, 32, act=nn.ReLU()), _basic(32, 32, 1), _basic(32, 32, 1)
        )
        self.up = nn.ConvTranspose2d(32, WIDTH, 2, 2)
        self.last = nn.Sequential(
            normed(2 * WIDTH, WIDTH, act=nn.ReLU()), _basic(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, 2, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        wide = self.down(x)
        made: Tensor = self.last(torch.cat([wide, self.up(self.middle(wide))], 1))
        return made


class WaveNet(nn.Module):
    """x [N, 8, 64] → y [N, 10, 64]: what each layer makes goes on the stream and into the answer (van den Oord et al.
    2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(8, WIDTH, 1), nn.Conv1d(WIDTH, 10, 1)
        self.gates = nn.ModuleList(
            nn.Conv1d(WIDTH, 2 * WIDTH, 3, padding=1 << n, dilation=1 << n) for n in range(3)
        )
        self.streams, self.skips = (
            nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 1) for _ in range(3)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x, skipped = self.first(x), []
        for gate, stream, skip in zip(self.gates, self.streams, self.skips, strict=True):
            value, opening = gate(x).chunk(2, 1)
            inner = value.tanh() * opening.sigmoid()
            skipped.append(skip(inner))
            x = x + stream(inner)
        made: Tensor = self.last(functional.relu(reduce(torch.add, skipped)))
        return made


class DenseNet(nn.Module):
    """Huang et al. 2017: what was before is put beside, and nothing is added."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(normed(WIDTH + 8 * n, 8, act=nn.ReLU()) for n in range(4))
        self.stem, self.head = normed(3, WIDTH, 3, 2, act=nn.ReLU()), classifier(width=WIDTH + 32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        made: Tensor = self.head(x)
        return made


def vgg() -> nn.Module:
    """Simonyan & Zisserman 2014: one layer behind the other."""
    parts: list[nn.Module] = []
    for ins, outs in ((3, 16), (16, 32), (32, 64)):
        parts += [normed(ins, outs, act=nn.ReLU()), normed(outs, outs, act=nn.ReLU()), nn.MaxPool2d(2)]
    return classifier(*parts, width=64)
