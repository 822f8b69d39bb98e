"""Networks that 8 bits ruin although floats compute them well: each collapses for one reason of its own."""

from typing import Any

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def masked_net(fill: float = -1e9) -> ir.Model:
    """Positions that `mask` [N,1,8,8] has as 0 are out of a pool over 4 × 4: `fill` is added there."""
    rng = np.random.default_rng(3)
    return model(
        """(float[N,3,8,8] image, float[N,1,8,8] mask) => (float[N,6,2,2] y) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1)
            [inverse] i = Sub (one, mask)
            [penalty] m = Mul (i, fill)
            [masking] a = Add (c1, m)
            [pool] p = MaxPool <kernel_shape=[4, 4], strides=[4, 4]> (a)
            [conv2] y = Conv (p, w2)
        }""",
        {
            "w1": _normal(rng, 16, 3, 3, 3),
            "w2": _normal(rng, 6, 16, 1, 1),
            "one": np.array(1, np.float32),
            "fill": np.array(fill, np.float32),
        },
    )


def masked_by_infinity() -> ir.Model:
    """The same with −∞ by a `Where`, and a sum behind it."""
    rng = np.random.default_rng(3)
    return model(
        """(float[N,3,8,8] image, float[N,1,8,8] mask) => (float[N,6,2,2] y) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1)
            [open] o = Greater (mask, half)
            [penalty] m = Where (o, zero, fill)
            [masking] a = Add (c1, m)
            [pool] p = MaxPool <kernel_shape=[4, 4], strides=[4, 4]> (a)
            [conv2] y = Conv (p, w2)
        }""",
        {
            "w1": _normal(rng, 16, 3, 3, 3),
            "w2": _normal(rng, 6, 16, 1, 1),
            "half": np.array(0.5, np.float32),
            "zero": np.array(0, np.float32),
            "fill": np.array(-np.inf, np.float32),
        },
    )


def masked_images(count: int = 64, *, masked: bool = True) -> dict[str, Any]:
    """No window of the pool is masked as a whole; without `masked` nothing is."""
    rng = np.random.default_rng(4)
    mask = (rng.uniform(size=(count, 1, 8, 8)) < 0.7).astype(np.float32)
    mask[:, :, ::4, ::4] = 1
    return {
        "image": rng.normal(size=(count, 3, 8, 8)).astype(np.float32),
        "mask": mask if masked else np.ones_like(mask),
    }


MIXED = """
            [mix] m = Conv (c, w1)
            [relu2] r2 = Relu (m)
            [head] y = Conv (r2, w2)
        }"""
"""What reads c, in networks that join it."""


def _mixing(rng: np.random.Generator) -> np.ndarray:
    """Weights [16, 20, 1, 1] that bring the four large channels in front to the size of the others."""
    reading = _normal(rng, 16, 20, 1, 1)
    reading[:, :4] /= 300
    return reading


def joined_net() -> ir.Model:
    """Boxes in pixels, to 640, are joined to features around 1, and layers read both."""
    rng = np.random.default_rng(7)
    reading = _mixing(rng)
    return model(
        """(float[N,3,8,8] image) => (float[N,6,8,8] y) {
            [stem] s = Conv <pads=[1, 1, 1, 1]> (image, w0)
            [relu] r = Relu (s)
            [boxes] b = Conv (r, wb, bb)
            [features] f = Conv (r, wf)
            [join] c = Concat <axis=1> (b, f)
        """
        + MIXED,
        {
            "w0": _normal(rng, 16, 3, 3, 3),
            "wb": _normal(rng, 4, 16, 1, 1) * 200,
            "bb": np.full(4, 320, np.float32),
            "wf": _normal(rng, 16, 16, 1, 1),
            "w1": reading,
            "w2": _normal(rng, 6, 16, 1, 1),
        },
    )


def joined_by_sigmoid() -> ir.Model:
    """The same, but what is joined cannot be scaled where it is made: a sigmoid's scores, and an input of the model."""
    rng = np.random.default_rng(8)
    reading = _mixing(rng)
    return model(
        """(float[N,16,8,8] image, float[N,4,8,8] boxes) => (float[N,6,8,8] y) {
            [features] f = Conv (image, wf)
            [scores] s = Sigmoid (f)
            [join] c = Concat <axis=1> (boxes, s)
        """
        + MIXED,
        {
            "wf": _normal(rng, 16, 16, 1, 1),
            "w1": reading,
            "w2": _normal(rng, 6, 16, 1, 1),
        },
    )


def residual_net() -> ir.Model:
    """A sum of ranges 500 and 6, whose large channels are few."""
    rng = np.random.default_rng(9)
    large = _normal(rng, 16, 16, 3, 3)
    large[:3] *= 150
    reading = _normal(rng, 16, 16, 1, 1)
    reading[:, :3] /= 150
    return model(
        """(float[N,3,8,8] image) => (float[N,6,8,8] y) {
            [stem] s = Conv <pads=[1, 1, 1, 1]> (image, w0)
            [relu] r = Relu (s)
            [large] a = Conv <pads=[1, 1, 1, 1]> (r, wa)
            [small] b = Conv <pads=[1, 1, 1, 1]> (r, wb)
            [sum] t = Add (a, b)
            [relu1] r1 = Relu (t)
            [mix] m = Conv (r1, w1)
            [relu2] r2 = Relu (m)
            [head] y = Conv (r2, w2)
        }""",
        {
            "w0": _normal(rng, 16, 3, 3, 3),
            "wa": large,
            "wb": _normal(rng, 16, 16, 3, 3),
            "w1": reading,
            "w2": _normal(rng, 6, 16, 1, 1),
        },
    )


def depthwise_net() -> ir.Model:
    """A depthwise convolution gives channels from 0.02 to 200, as after folding a batch normalisation."""
    rng = np.random.default_rng(10)
    gains = np.geomspace(0.02, 200, 16).astype(np.float32)
    return model(
        """(float[N,3,8,8] image) => (float[N,6,8,8] y) {
            [stem] s = Conv <pads=[1, 1, 1, 1]> (image, w0, b0)
            [relu] r = Relu (s)
            [depthwise] d = Conv <pads=[1, 1, 1, 1], group=16> (r, wd, bd)
            [relu1] r1 = Relu (d)
            [pointwise] p = Conv (r1, w1)
            [relu2] r2 = Relu (p)
            [head] y = Conv (r2, w2)
        }""",
        {
            "w0": _normal(rng, 16, 3, 3, 3),
            "b0": _normal(rng, 16),
            "wd": _normal(rng, 16, 1, 3, 3) * gains[:, None, None, None],
            "bd": _normal(rng, 16) * gains,
            "w1": _normal(rng, 16, 16, 1, 1) / gains[None, :, None, None],
            "w2": _normal(rng, 6, 16, 1, 1),
        },
    )


def norm_net() -> ir.Model:
    """A layer normalisation whose scale has outliers, which the products behind it undo."""
    rng = np.random.default_rng(11)
    gamma = rng.uniform(0.5, 1.5, 32).astype(np.float32)
    gamma[:2] *= 200
    reading = _normal(rng, 32, 32).T.copy()
    reading[:2] /= 200
    return model(
        """(float[N,8,32] x) => (float[N,8,6] y) {
            [first] a = MatMul (x, w0)
            [norm] n = LayerNormalization <axis=-1> (a, gamma, beta)
            [second] b = MatMul (n, w1)
            [relu] r = Relu (b)
            [head] y = MatMul (r, w2)
        }""",
        {
            "w0": _normal(rng, 32, 32),
            "gamma": gamma,
            "beta": _normal(rng, 32),
            "w1": reading,
            "w2": _normal(rng, 32, 6),
        },
    )


def stream_net(blocks: int = 3) -> ir.Model:
    """A residual stream with outlier channels, normalised before each block and read by the head as it is."""
    rng = np.random.default_rng(12)
    weights: dict[str, Any] = {"w": _normal(rng, 32, 32), "b": _normal(rng, 32), "head": _normal(rng, 6, 32)}
    weights["w"][:, :2] *= 300
    weights["head"] = weights["head"].T.copy()
    weights["head"][:2] /= 300
    weights["gamma"] = np.where(np.arange(32) < 2, 0.1, 8).astype(np.float32)
    lines = ["[stem] p = MatMul (x, w)", "[bias] x0 = Add (p, b)"]
    for n in range(blocks):
        weights |= {f"u{n}": _normal(rng, 32, 32), f"v{n}": _normal(rng, 32, 32), f"c{n}": _normal(rng, 32)}
        lines += [
            f"[norm{n}] n{n} = LayerNormalization <axis=-1> (x{n}, gamma)",
            f"[up{n}] u_{n} = MatMul (n{n}, u{n})",
            f"[act{n}] a{n} = Relu (u_{n})",
            f"[down{n}] d{n} = MatMul (a{n}, v{n})",
            f"[shift{n}] e{n} = Add (d{n}, c{n})",
            f"[residual{n}] x{n + 1} = Add (x{n}, e{n})",
        ]
    lines.append(f"[out] y = MatMul (x{blocks}, head)")
    body = "\n".join(lines)
    return model(f"(float[N,8,32] x) => (float[N,8,6] y) {{\n{body}\n}}", weights)


def probed_net(blocks: int = 2) -> ir.Model:
    """A residual stream with outlier channels, normalised where it has to be exact; a probe reads it as it is."""
    rng = np.random.default_rng(14)
    weights: dict[str, Any] = {"w": _normal(rng, 32, 32), "b": _normal(rng, 32), "head": _normal(rng, 32, 6)}
    weights["b"][:2] = 500, -400
    weights["gamma"] = np.where(np.arange(32) < 2, 0.01, 1).astype(np.float32)
    weights["probe"] = _normal(rng, 32, 4)
    lines = ["[stem] p = MatMul (x, w)", "[bias] x0 = Add (p, b)"]
    for n in range(blocks):
        weights |= {f"u{n}": _normal(rng, 32, 32), f"v{n}": _normal(rng, 32, 32)}
        lines += [
            f"[norm{n}] n{n} = LayerNormalization <axis=-1> (x{n}, gamma)",
            f"[up{n}] u_{n} = MatMul (n{n}, u{n})",
            f"[act{n}] a{n} = Relu (u_{n})",
            f"[down{n}] d{n} = MatMul (a{n}, v{n})",
            f"[residual{n}] x{n + 1} = Add (x{n}, d{n})",
        ]
    last = f"x{blocks}"
    lines += [
        f"[probe_it] q = MatMul ({last}, probe)",
        f"[last] z = LayerNormalization <axis=-1> ({last}, gamma)",
    ]
    lines.append("[out] y = MatMul (z, head)")
    body = "\n".join(lines)
    return model(f"(float[N,8,32] x) => (float[N,8,6] y, float[N,8,4] q) {{\n{body}\n}}", weights)


def data_for(net: ir.Model, count: int = 96, seed: int = 13) -> dict[str, Any]:
    """Normal numbers for each input; boxes in pixels."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for value in net.graph.inputs:
        assert value.shape is not None
        shape = (count, *[int(size) for size in value.shape[1:]])  # type: ignore[call-overload]
        numbers = rng.normal(size=shape).astype(np.float32)
        arrays[str(value.name)] = numbers * 100 + 320 if value.name == "boxes" else numbers
    return arrays


def cancelling_net(likeness: float = 64, *, wide: bool = True) -> ir.Model:
    """Nothing is uneven: the second layer takes channels off others that are almost equal, and what is left of both is
    mostly the noise of 8 bits. Those two are 2 % of the multiply-accumulates; all of them where it is not `wide`."""
    rng = np.random.default_rng(15)
    common, apart = _normal(rng, 8, 3, 1, 1), _normal(rng, 8, 3, 1, 1) / likeness
    mixing = _normal(rng, 16, 8, 1, 1) * likeness
    body = """
            [wide1] e = Conv <pads=[1, 1, 1, 1]> (d, w2)
            [relu1] r1 = Relu (e)
            [wide2] f = Conv <pads=[1, 1, 1, 1]> (r1, w3)
            [relu2] r2 = Relu (f)
            [head] y = Conv (r2, w4)
        }"""
    return model(
        f"""(float[N,3,8,8] image) => (float[N,{6 if wide else 16},8,8] y) {{
            [pairs] c = Conv (image, w0)
            [difference] {"d" if wide else "y"} = Conv (c, w1)
        """
        + (body if wide else "}"),
        {
            "w0": np.concatenate([common, common + apart]),
            "w1": np.concatenate([-mixing, mixing], 1),
            **(
                {
                    "w2": _normal(rng, 32, 16, 3, 3),
                    "w3": _normal(rng, 32, 32, 3, 3),
                    "w4": _normal(rng, 6, 32, 1, 1),
                }
                if wide
                else {}
            ),
        },
    )


def separable_net(blocks: int = 3, spread: float = 8) -> ir.Model:
    """Depthwise separable blocks, whose channels differ from their median by `spread` each way: no value is as uneven
    as in the networks above, and all together ruin the outputs. All that depthwise convolutions read is positive, so
    that what rounding does to their weights has a mean."""
    rng = np.random.default_rng(17)
    width, weights = 16, dict[str, Any]()

    def gains() -> Any:
        return rng.permutation(np.geomspace(1 / spread, spread, width)).astype(np.float32)

    def column(numbers: Any) -> Any:
        return numbers[:, None, None, None]

    before = gains()
    weights |= {"w": _normal(rng, width, 3, 3, 3) * column(before), "b": np.abs(_normal(rng, width)) * before}
    lines = ["[stem] c = Conv <pads=[1, 1, 1, 1]> (image, w, b)", "[relu] x0 = Relu (c)"]
    for n in range(blocks):
        middle, after, mixing = gains(), gains(), _normal(rng, width, width, 1, 1)
        mixing -= mixing.mean(1, keepdims=True)
        weights |= {
            f"d{n}": rng.uniform(0.1, 0.2, (width, 1, 3, 3)).astype(np.float32) * column(middle / before),
            f"e{n}": np.abs(_normal(rng, width)) * middle,
            f"p{n}": 1.5 * mixing * column(after) / middle[:, None, None],
            f"q{n}": 2 * np.abs(_normal(rng, width)) * after,
        }
        lines += [
            f"[depthwise{n}] y{n} = Conv <pads=[1, 1, 1, 1], group={width}> (x{n}, d{n}, e{n})",
            f"[relu_a{n}] a{n} = Relu (y{n})",
            f"[pointwise{n}] z{n} = Conv (a{n}, p{n}, q{n})",
            f"[relu_b{n}] x{n + 1} = Relu (z{n})",
        ]
        before = after
    weights["head"] = _normal(rng, 6, width, 1, 1) / before[:, None, None]
    body = "\n".join([*lines, f"[head_out] y = Conv (x{blocks}, head)"])
    return model(f"(float[N,3,8,8] image) => (float[N,6,8,8] y) {{\n{body}\n}}", weights)


def offset_net(width: int = 64, size: float = 100) -> ir.Model:
    """One channel of an Elu is large, and adds the same to all that the next layer gives, which a normalisation takes
    away again: as much range as it has, as little does it matter; and no factor makes it and its weights small."""
    rng = np.random.default_rng(21)
    first, second = _normal(rng, width, width), _normal(rng, width, width)
    first[:, 3] *= size / 4
    second[3] = 1
    return model(
        f"""(float[N,8,{width}] x) => (float[N,8,16] y) {{
            [up] u = MatMul (x, w1)
            [lift] b = Add (u, b1)
            [elu] h = Elu (b)
            [down] d = MatMul (h, w2)
            [norm] n = LayerNormalization <axis=-1> (d, scale, shift)
            [head] y = MatMul (n, w3)
        }}""",
        {
            "w1": first,
            "b1": np.eye(1, width, 3, dtype=np.float32)[0] * size,
            "w2": second,
            "scale": np.ones(width, np.float32),
            "shift": np.zeros(width, np.float32),
            "w3": _normal(rng, width, 16),
        },
    )


def offset_stream_net(width: int = 64, size: float = 1000) -> ir.Model:
    """The same of a channel of a residual stream: two layers write it, a normalisation with a scale reads it."""
    rng = np.random.default_rng(22)
    reading = _normal(rng, width, width)
    reading[3] = 1
    return model(
        f"""(float[N,8,{width}] x) => (float[N,8,16] y) {{
            [write] w = MatMul (x, w0)
            [lift] l = Add (w, b0)
            [norm0] n0 = LayerNormalization <axis=-1> (l, scale0, shift0)
            [up] u = MatMul (n0, w1)
            [elu] e = Elu (u)
            [down] d = MatMul (e, w2)
            [sum] s = Add (l, d)
            [norm1] n1 = LayerNormalization <axis=-1> (s, scale1, shift1)
            [read] r = MatMul (n1, w3)
            [norm2] n2 = LayerNormalization <axis=-1> (r, scale2, shift2)
            [head] y = MatMul (n2, w4)
        }}""",
        {
            "w0": _normal(rng, width, width),
            "b0": np.eye(1, width, 3, dtype=np.float32)[0] * size,
            "w1": reading,
            "w2": _normal(rng, width, width),
            "w3": reading[:, ::-1].copy(),
            "w4": _normal(rng, width, 16),
            **{f"scale{i}": rng.uniform(0.5, 1.5, width).astype(np.float32) for i in range(3)},
            **{f"shift{i}": rng.normal(size=width).astype(np.float32) * 0.1 for i in range(3)},
        },
    )


def massive_net(width: int = 64, heads: int = 4, *, post: bool = False) -> ir.Model:
    """A transformer of two blocks of attention and a feed-forward part whose first place has a channel of 400, all else
    about 1: massive activations (Sun et al. 2024, arXiv:2402.17762), as networks make them by themselves.

    `post`: what is added is normalised, with a scale, and that is the stream.
    """
    rng = np.random.default_rng(23)
    inner, places = width // heads, _normal(rng, 8, width)
    places[0, 3] = 400
    weights: dict[str, Any] = {
        "w0": _normal(rng, width, width),
        "places": places,
        "apart": np.array([0, 0, heads, inner]),
        "flat": np.array([0, 0, width]),
        "factor": np.array(inner**-0.5, np.float32),
        "out": _normal(rng, width, 16),
    }
    lines = ["[write] m = MatMul (x, w0)", "[place] s0 = Add (m, places)"]
    norm = "LayerNormalization <axis=-1>"
    for at in range(4):
        read = f"s{at}" if post else f"n{at}"
        weights |= {
            f"g{at}": rng.uniform(0.5, 2, width).astype(np.float32),
            f"h{at}": _normal(rng, 1, width)[0],
        }
        weights[f"g{at}"][3] = 8
        lines += [] if post else [f"[norm{at}] n{at} = {norm} (s{at}, g{at}, h{at})"]
        if at % 2:
            weights |= {f"u{at}": _normal(rng, width, 2 * width), f"d{at}": _normal(rng, 2 * width, width)}
            lines += [f"[up{at}] p{at} = MatMul ({read}, u{at})", f"[elu{at}] e{at} = Elu (p{at})"]
        else:
            weights |= {f"{part}{at}": _normal(rng, width, width) for part in "qkvd"}
            for part, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
                lines += [
                    f"[{part}l{at}] {part}m{at} = MatMul ({read}, {part}{at})",
                    f"[{part}r{at}] {part}a{at} = Reshape ({part}m{at}, apart)",
                    f"[{part}t{at}] {part}h{at} = Transpose <perm={perm}> ({part}a{at})",
                ]
            lines += [
                f"[scores{at}] z{at} = MatMul (qh{at}, kh{at})",
                f"[scale{at}] y{at} = Mul (z{at}, factor)",
                f"[soft{at}] o{at} = Softmax <axis=-1> (y{at})",
                f"[mix{at}] i{at} = MatMul (o{at}, vh{at})",
                f"[back{at}] j{at} = Transpose <perm=[0, 2, 1, 3]> (i{at})",
                f"[flat{at}] e{at} = Reshape (j{at}, flat)",
            ]
        lines += [f"[down{at}] t{at} = MatMul (e{at}, d{at})"]
        lines += [f"[sum{at}] {'r' if post else 's'}{at + (not post)} = Add (s{at}, t{at})"]
        lines += [f"[norm{at}] s{at + 1} = {norm} (r{at}, g{at}, h{at})"] if post else []
    if not post:
        weights |= {"g4": np.ones(width, np.float32), "h4": np.zeros(width, np.float32)}
        lines += [f"[last] n4 = {norm} (s4, g4, h4)"]
    lines += [f"[head] y = MatMul ({'s4' if post else 'n4'}, out)"]
    body = "\n".join(lines)
    return model(f"(float[N,8,{width}] x) => (float[N,8,16] y) {{\n{body}\n}}", weights)
