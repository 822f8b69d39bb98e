"""More than thirty models for `int8`: those of ../shared, architectures of torchvision with random weights, plain ones.

torchvision comes with the extra `bench` (`pip install -e ./winnow -e '.[worker,dev,bench]' -c constraints.txt`).
Without it its models are missing, and the table's count is not met.
"""

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tests.benchmarks.shared_data import SHARED, prepare

SHARED_MODELS: Final = (
    "lenet5-mnist.onnx", "resnet20-cifar10.onnx", "resnet20-cifar10-jpeg.onnx", "squeezenet1.1.onnx",
    "yolox_nano.onnx", "ppocrv3-det.onnx", "ultraface-rfb-320.onnx", "vittracker.onnx", "silero-vad-op18.onnx",
    "dtln-1.onnx", "dscnn-kws.onnx", "super-resolution.onnx",
)  # fmt: skip
TORCHVISION: Final = (
    "resnet18", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0", "mnasnet0_5", "mnasnet1_0", "efficientnet_b0", "regnet_y_400mf", "regnet_x_400mf",
    "googlenet", "squeezenet1_0", "squeezenet1_1",
)  # fmt: skip
ROWS: Final = 32
"""That calibrate and are judged on: what is compared is size and speed."""
SIDE: Final = 64
"""Of the pictures that random weights look at."""


@dataclass(frozen=True)
class Case:
    """A file, arrays, and how the model reads them."""

    name: str
    path: Path
    arrays: dict[str, Any]
    declaration: dict[str, Any]
    calibration: tuple[int, int] | None
    shapes: dict[str, list[int]]


def cases(folder: Path) -> Iterator[Case]:
    for name in SHARED_MODELS:
        if (SHARED / "models" / name).exists():
            known = prepare(name)
            path = SHARED / "models" / name
            rows = known.calibration
            few = (rows[0], min(rows[1], rows[0] + ROWS))
            yield Case(name, path, known.arrays, known.declaration, few, known.shapes)
    for name in TORCHVISION:
        if (network := _torchvision(name)) is not None:
            yield _case(name, network, (3, SIDE, SIDE), folder)
    for name, (make, shape) in PLAIN.items():
        torch.manual_seed(0)
        yield _case(name, make(), shape, folder)


def _case(name: str, network: nn.Module, shape: tuple[int, ...], folder: Path) -> Case:
    path, rng = folder / f"{name}.onnx", np.random.default_rng(0)
    x = rng.normal(size=(ROWS, *shape)).astype(np.float32)
    with torch.no_grad():
        network.train()
        network(torch.from_numpy(x))  # running means and variances of such data
        network.eval()
        example = torch.from_numpy(x[:2])
        torch.onnx.export(
            network, (example,), str(path), input_names=["x"], opset_version=17, dynamo=False,
            dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    return Case(name, path, {"x": x}, {"inputs": {"x": {"array": "x"}}}, (0, ROWS), {})


def _torchvision(name: str) -> nn.Module | None:
    models = _models()
    if models is None:
        return None
    torch.manual_seed(0)
    more = {"init_weights": True, "aux_logits": False} if name == "googlenet" else {}
    network: nn.Module = models.get_model(name, weights=None, **more)
    return network


def _models() -> Any:
    """torchvision's models. Its wheel may be of another build than torch's: then its operators are missing, which no
    classifier uses, and their names are all that the import asks for."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for _ in range(20):
        try:
            return importlib.import_module("torchvision.models")
        except ModuleNotFoundError:
            return None
        except RuntimeError as error:
            if (missing := re.search(r"operator torchvision::(\w+) does not exist", str(error))) is None:
                raise
            library.define(f"{missing[1]}(Tensor x) -> Tensor")
            LIBRARIES.append(library)
            for loaded in [key for key in sys.modules if key.split(".")[0] == "torchvision"]:
                del sys.modules[loaded]
    return None


LIBRARIES: Final[list[Any]] = []
"""Held: an operator is gone with its library."""


class Recurrent(nn.Module):
    """x [N, T, 40] → [N, 10], by the last step."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layers, self.head = kind(40, 128, 2, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.layers(x)[0][:, -1])
        return answer


class Encoder(nn.Module):
    """x [N, T, 96] → [N, 10]: layers of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Attention(96, 4) for _ in range(3))
        self.head = nn.Linear(96, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        answer: torch.Tensor = self.head(x.mean(1))
        return answer


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.before, self.behind = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.before(x)).chunk(3, -1)
        )
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
        answer: torch.Tensor = x + self.wide(self.behind(x))
        return answer


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def _temporal() -> nn.Module:
    """x [N, 16, 256]: dilated convolutions along time."""
    layers: list[nn.Module] = []
    for number, width in enumerate((16, 64, 64, 64)):
        layers += [nn.Conv1d(width, 64, 5, padding=2 << number, dilation=1 << number), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 10))


class Hourglass(nn.Module):
    """x [N, 3, 64, 64] → [N, 2, 64, 64]: down, up by transposed convolutions, and what was before beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 48, 3, stride=2, padding=1)
        self.up, self.head = nn.ConvTranspose2d(48, 24, 2, stride=2), nn.Conv2d(48, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.down(x).relu()
        answer: torch.Tensor = self.head(torch.cat([wide, self.up(self.middle(wide).relu())], 1))
        return answer


def _tiny() -> nn.Module:
    """A few hundred weights: what Q/DQ nodes take is more than integers save."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )


PLAIN: Final[dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]] = {
    "mlp": (_mlp, (64,)),
    "tiny-cnn": (_tiny, (1, 8, 8)),
    "lstm": (lambda: Recurrent(nn.LSTM), (20, 40)),
    "gru": (lambda: Recurrent(nn.GRU), (20, 40)),
    "encoder": (Encoder, (32, 96)),
    "temporal": (_temporal, (16, 256)),
    "hourglass": (Hourglass, (3, SIDE, SIDE)),
}
