"""Programs of many kinds, as (network, arguments, options of torch.export.export)."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

nn = torch.nn
BATCH = torch.export.Dim("batch", max=256)


def module(forward: Callable[..., Any], **parts: Any) -> Any:
    """A module with these parts; tensors become buffers."""

    class Made(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                if isinstance(part, nn.Parameter | nn.Module):
                    setattr(self, name, part)
                else:
                    self.register_buffer(name, part)

    Made.forward = forward
    return Made().eval()


def residual() -> Any:
    def forward(self: Any, x: Any) -> Any:
        y = torch.relu(self.norm(self.a(x)))
        return torch.nn.functional.adaptive_avg_pool2d(self.b(y) + y, 1).flatten(1)

    return (
        module(
            forward, a=nn.Conv2d(3, 8, 3, 2, 1), norm=nn.BatchNorm2d(8), b=nn.Conv2d(8, 8, 3, 1, 1, groups=4)
        ),
        (torch.randn(2, 3, 17, 17),),
        {"dynamic_shapes": ({0: BATCH, 2: torch.export.Dim("h", min=8, max=99)},)},
    )


def attention() -> Any:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return layer.eval(), (torch.randn(2, 6, 16),), {"dynamic_shapes": ({0: BATCH},)}


def embedding() -> Any:
    def forward(self: Any, ids: Any) -> Any:
        return self.out(self.table(ids).mean(1)) @ self.table.weight.T

    parts = {"table": nn.Embedding(11, 6), "out": nn.Linear(6, 6)}
    length = torch.export.Dim("length", max=64)
    return module(forward, **parts), (torch.tensor([[1, 2, 3]]),), {"dynamic_shapes": ({1: length},)}


def recurrent() -> Any:
    return (
        module(lambda self, x: self.rnn(x)[0], rnn=nn.LSTM(4, 5, batch_first=True)),
        (torch.randn(2, 7, 4),),
        {},
    )


def branches() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda x: self.a(x) + 1, lambda x: self.a(x) * 2, (x,))

    return module(forward, a=nn.Linear(3, 3)), (torch.randn(2, 3),), {}


def loop() -> Any:
    from torch._higher_order_ops.while_loop import while_loop

    def forward(self: Any, n: Any, x: Any) -> Any:
        return while_loop(lambda n, x: n > 0, lambda n, x: (n - 1, x * 2), (n, x))

    return module(forward), (torch.tensor(3), torch.randn(2)), {}


def nested() -> Any:
    def forward(self: Any, pair: Any, named: Any, *, scale: Any) -> Any:
        total = pair[0] + pair[1][0] * named["a b"] + scale
        return {"sum": total, "parts": [total * 2, OrderedDict(last=total - 1)]}

    args = ((torch.randn(2), [torch.randn(2)]), {"a b": torch.randn(2)})
    return module(forward), args, {"kwargs": {"scale": torch.randn(1)}}


def constants() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return x * torch.tensor([1.0, 2.0]) + self.offset + self.scalar

    return module(forward, offset=torch.arange(2.0), scalar=torch.tensor(7)), (torch.randn(3, 2),), {}


def sizes() -> Any:
    def forward(self: Any, x: Any) -> Any:
        wide = torch.cat([x, x[:, 3:]], 1)
        tail = wide[:, : wide.shape[1] // 2 + 1] * (x.shape[1] % 5)
        return tail.sum(1), nn.functional.max_pool2d(x[None], (1, 3), 2), x.shape[1] * 2 + x.shape[1] // 3

    length = torch.export.Dim("length", min=6, max=500)
    return module(forward), (torch.randn(2, 16),), {"dynamic_shapes": ({1: length},)}


def weights() -> Any:
    """Half precision, shared by two layers, transposed, a part of a larger one, expanded."""
    first, second, whole = nn.Linear(8, 8), nn.Linear(8, 8), torch.randn(6, 8)
    second.weight = first.weight
    parts = {
        "a": first,
        "b": second,
        "low": nn.Linear(8, 8).half(),
        "w": nn.Parameter(torch.randn(8, 3).bfloat16()),
    }
    views = {"turned": nn.Parameter(whole.T), "part": whole[1:3, 2:6], "wide": torch.randn(1, 1).expand(8, 6)}

    def forward(self: Any, x: Any) -> Any:
        y = self.b(torch.relu(self.a(x)))
        return self.low(y.half()).float(), y @ self.w.float(), y @ self.turned, self.part * 2, y @ self.wide

    return module(forward, **parts, **views), (torch.randn(2, 8),), {}


def odd_names() -> Any:
    parts = nn.ModuleDict({"layer-1": nn.Linear(3, 3), "größe": nn.Linear(3, 2)})
    return (
        module(lambda self, input: self.parts["größe"](self.parts["layer-1"](input)), parts=parts),
        (torch.randn(2, 3),),
        {},
    )


def integers() -> Any:
    def forward(self: Any, x: Any, n: int, flag: bool, mode: str, absent: None) -> Any:
        return torch.bitwise_and(x, n) if flag and mode == "and" and absent is None else x

    return module(forward), (torch.tensor([1, 2, 3]), 3, True, "and", None), {}


def infinities() -> Any:
    def forward(self: Any, x: Any) -> Any:
        return torch.cumsum(x, 1)[:, None].argmax(-1), torch.where(x > 0, x, float("-inf")).exp(), x.std()

    return module(forward), (torch.randn(3, 4),), {}


ALL: list[Callable[[], Any]] = [
    *(
        residual,
        attention,
        embedding,
        recurrent,
        branches,
        loop,
        nested,
        constants,
        sizes,
        weights,
        odd_names,
    ),
    *(integers, infinities),
]


def together(*makes: Callable[[], Any]) -> Callable[[], Any]:
    """One program of several, each with its own inputs: exporting and converting take long for each program."""

    def forward(self: Any, inputs: Any) -> Any:
        return [network(*given) for network, given in zip(self.networks, inputs, strict=True)]

    def made() -> Any:
        networks, inputs, options = zip(*(make() for make in makes), strict=True)
        open_sizes = [
            each.get("dynamic_shapes", (None,) * len(given))
            for given, each in zip(inputs, options, strict=True)
        ]
        program = module(forward, networks=nn.ModuleList(networks))
        return program, ([*inputs],), {"dynamic_shapes": (open_sizes,)}

    made.__name__ = "+".join(make.__name__ for make in makes)
    return made


def export(make: Callable[[], Any], path: Path, *, strict: bool) -> tuple[list[Any], list[Any]]:
    """Save the program as `.pt2`; its inputs and what torch answers, flat."""
    torch.manual_seed(0)
    network, args, options = make()
    kwargs = options.pop("kwargs", {})
    with torch.no_grad():
        answers = torch.utils._pytree.tree_leaves(network(*args, **kwargs))
    torch.export.save(torch.export.export(network, args, kwargs, strict=strict, **options), path)
    inputs = torch.utils._pytree.tree_leaves((args, kwargs))
    return [leaf for leaf in inputs if isinstance(leaf, torch.Tensor)], answers
