"""The folded ResNet-20 written in plain torch, and the engine's time beside its."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.nn import functional

from worker.compression.engine.working import as_module
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.measure.quality.bootstrap import median_interval
from worker.compression.onnx_files import model_files

BATCH, ROUNDS, WIDTHS, DEPTH = 128, 15, (16, 32, 64), 3


class PlainResNet(nn.Module):
    """x [N, 3, 32, 32] → logits [N, 10]; convolutions with a bias, shortcuts strided and padded with zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTHS[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        before = WIDTHS[0]
        for width in WIDTHS:
            for index in range(DEPTH):
                stride = 2 if index == 0 and width != WIDTHS[0] else 1
                first = nn.Conv2d(before, width, 3, stride, padding=1)
                self.blocks.append(nn.ModuleList([first, nn.Conv2d(width, width, 3, padding=1)]))
                before = width
        self.last = nn.Linear(before, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        for first, second in self.blocks:  # type: ignore[misc]
            y = second(torch.relu(first(x)))
            if y.shape != x.shape:
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))
            x = torch.relu(x + y)
        return self.last(x.mean((2, 3)))


def engine_speed(path: Path) -> Iterator[tuple[str, float, float, float, float]]:
    """(what, ratio, its interval, plain torch's ms): the median over interleaved rounds of engine / plain."""
    module, plain = as_module(normalise(model_files.load(path))), PlainResNet()
    _copy_weights(path, plain)
    x, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    name, output = module.inputs[0], module.wanted[0]
    calls = {"plain": lambda: plain(x), "engine": lambda: module({name: x})[output]}
    assert torch.allclose(calls["plain"](), calls["engine"](), atol=1e-3)

    def forward(call: Callable[[], torch.Tensor]) -> None:
        with torch.no_grad():
            call()

    def step(call: Callable[[], torch.Tensor]) -> None:
        functional.cross_entropy(call(), labels).backward()  # type: ignore[no-untyped-call]

    for what, work in (("forward", forward), ("forward and backward", step)):
        ratios, times = [], []
        for index in range(ROUNDS + 2):
            took = {}
            for who in sorted(calls, reverse=bool(index % 2)):
                begun = time.perf_counter()
                work(calls[who])
                took[who] = time.perf_counter() - begun
            if index >= 2:
                ratios.append(took["engine"] / took["plain"])
                times.append(1000 * took["plain"])
        low, high = median_interval(ratios, seed=0)
        yield f"{what}, batch {BATCH}", statistics.median(ratios), low, high, statistics.median(times)


def _copy_weights(path: Path, plain: PlainResNet) -> None:
    """In the order in which both compute."""
    model = onnx.load(str(path))
    stored = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    with torch.no_grad():
        for node, layer in zip(layers, _layers(plain), strict=True):
            layer.weight.copy_(torch.from_numpy(stored[node.input[1]].copy()))
            layer.bias.copy_(torch.from_numpy(stored[node.input[2]].copy()))  # type: ignore[union-attr]


def _layers(plain: PlainResNet) -> list[nn.Conv2d | nn.Linear]:
    inner = [layer for block in plain.blocks for layer in block]  # type: ignore[attr-defined]
    return [plain.first, *inner, plain.last]
