"""What quantization leaves of a file: integers, scales and zero points, and the nodes that they come with.

The bytes of nodes were fitted to files that the service wrote; a test holds the forecasts against such files.
"""

from dataclasses import replace
from typing import Final

from winnow.contract.forecast.nbits import bits_of, has_whole_blocks, saves_as_planes, stored_block, width
from winnow.contract.forecast.network import LINEAR, PRODUCTS, Network, Weight
from winnow.contract.recipe import BFloat16, Binary, Float16, Int8Dynamic, Int8Static, Palette, WeightOnly

MIN_TABLE_NUMBERS: Final = 1 << 16
"""Of an embedding, from which on integers are worth three more nodes."""
MIN_BFLOAT16_NUMBERS: Final = 128
JOINING: Final = (
    "Add",
    "Concat",
    "Mul",
    "Sigmoid",
    "LeakyRelu",
    "GlobalAveragePool",
    "AveragePool",
    "MaxPool",
)
"""Operators between quantized layers whose results are quantized too."""
ACTIVATION_BYTES: Final = 6
"""A QuantizeLinear and a DequantizeLinear, less the names that are no longer said."""
STATIC_LAYER_BYTES: Final = 125
"""DequantizeLinear of a weight and a bias."""
BATCHNORM_BYTES: Final = 250
"""The node, and what its constants take besides numbers."""
DYNAMIC_LAYER_BYTES: Final = 200
TABLE_BYTES: Final = 200
NBITS_LAYER_BYTES: Final = 65
PLANES_BYTES: Final = {3: 850, 2: 500}
"""bits → nodes that expand planes"""
CODEBOOK_LAYER_BYTES: Final = 60
HALF_BYTES: Final = -40
"""Of a constant in 16 bits: its name is a shorter one."""
WEIGHT_ONLY_NODE_BYTES: Final = 300
CODEBOOK_NODE_BYTES: Final = 350
"""What the steps themselves reckon for a layer's nodes when they ask whether it gets smaller."""


def int8_static(network: Network, step: Int8Static) -> Network:
    if step.exclude == "auto":
        return network.unsized()
    layers = network.matrices(LINEAR, step.patterns)
    tables = [] if step.target == "cuda" else _tables(network, step.patterns)
    values = len(layers) + sum(network.facts.operators.get(operator, 0) for operator in JOINING)
    nodes = len(layers) * STATIC_LAYER_BYTES + values * ACTIVATION_BYTES
    network = _with_folded_batchnorms(network)
    network = network.changed(layers, lambda weight: _integers(weight, step.weight_bits, 4), nodes)
    return network.changed(tables, lambda weight: _integers(weight, 8, 4), len(tables) * TABLE_BYTES)


def _with_folded_batchnorms(network: Network) -> Network:
    """Of scale, bias, mean and variance one vector is left, as the bias of the layer before."""
    count = network.facts.operators.get("BatchNormalization", 0)
    statistics = [
        w for w in network.weights if count and not w.facts.learnt and w.is_float and w.shape != (1.0,)
    ]
    third = sum(weight.numbers * weight.bits / 8 for weight in statistics) / 2
    return network.changed(
        statistics, lambda weight: replace(weight, bits=0), -third - count * BATCHNORM_BYTES
    )


def int8_dynamic(network: Network, step: Int8Dynamic) -> Network:
    layers = network.matrices(PRODUCTS, step.exclude) + _recurrent(network, step.exclude)
    tables = _tables(network, step.exclude)
    nodes = len(layers) * DYNAMIC_LAYER_BYTES
    network = network.changed(layers, lambda weight: _integers(weight, 8, 5), nodes)
    return network.changed(tables, lambda weight: _integers(weight, 8, 4), len(tables) * TABLE_BYTES)


def _integers(weight: Weight, bits: int, row_bytes: int) -> Weight:
    beside = weight.beside + row_bytes * _rows(weight)
    return replace(weight, bits=bits, beside=beside, quantized=True)


def _rows(weight: Weight) -> float:
    """Outputs; of a recurrent layer [directions, outputs, inputs]."""
    return weight.rows if weight.facts.outputs_axis is not None else weight.numbers / weight.shape[-1]


def _tables(network: Network, exclude: list[str]) -> list[Weight]:
    tables = network.matrices({"Gather"}, exclude)
    return [weight for weight in tables if weight.numbers >= MIN_TABLE_NUMBERS]


def _recurrent(network: Network, exclude: list[str]) -> list[Weight]:
    return [
        weight
        for weight in network.weights
        if weight.is_float
        and not weight.facts.nested
        and any(layer.op == "LSTM" for layer in network.layers(weight))
        and not network.is_excluded(weight, exclude)
    ]


def weight_only(network: Network, step: WeightOnly) -> Network:
    """Which of its layers are heads nothing tells where an earlier version inspected the model."""
    if step.head_bits is not None and any(w.facts.head is None and w.facts.readers for w in network.weights):
        return network.unsized()
    operators = PRODUCTS if step.layers == "products" else LINEAR | {"Gather"}

    def read_by(weight: Weight) -> set[str]:
        return {layer.op for layer in network.layers(weight)}

    def bits(weight: Weight) -> int:
        return bits_of(step, table="Gather" in read_by(weight), head=bool(weight.facts.head))

    def taken(weight: Weight) -> bool:
        inner, readers = weight.inner, read_by(weight)
        scales = weight.rows * -(-inner // (step.block or inner))
        reckoned = (
            weight.numbers * bits(weight) / 8 + scales * (4 if step.symmetric else 5) + WEIGHT_ONLY_NODE_BYTES
        )
        if "Gather" in readers and inner % 4:
            return False
        if len(readers) > 1 and not has_whole_blocks(round(inner), step.block, bits(weight)):
            return False
        return reckoned < 4 * weight.numbers

    layers = [weight for weight in network.matrices(operators, step.exclude) if taken(weight)]
    nodes = len(layers) * NBITS_LAYER_BYTES
    return network.changed(
        layers, lambda weight: _few_bits(weight, network.layers(weight)[0].op, step, bits(weight)), nodes
    )


def _few_bits(weight: Weight, operator: str, step: WeightOnly, bits: int) -> Weight:
    rows, inner = max(1, round(weight.rows)), max(1, round(weight.inner))
    block = min(step.block or inner, inner)
    planes = saves_as_planes(weight.numbers, bits)
    if operator == "Conv":
        blocks, held = -(-inner // block), 8 if bits == 8 else 4
        zero_bytes = 0 if step.symmetric else 1 if planes else held / 8
        numbers = float(rows * inner)
    else:
        block, held = stored_block(inner, block, bits), width(bits)
        blocks = -(-inner // block)
        zero_bytes = 0 if step.symmetric else held / 8
        numbers = float(rows * (inner if operator == "Gather" else blocks * block))
    stored = bits if planes else held
    beside = rows * blocks * (4 + zero_bytes) + (PLANES_BYTES[bits] if planes else 0)
    return replace(weight, bits=stored * numbers / weight.numbers, beside=beside, zeros=0.0, quantized=True)


def palette(network: Network, step: Palette) -> Network:
    bits = (step.colors - 1).bit_length()
    by_row, fixed = (4 * step.colors + 4, 0) if step.codebook == "channel" else (0, 4 * step.colors)
    return _few_values(network, step, bits, by_row, fixed)


def binary(network: Network, step: Binary) -> Network:
    return _few_values(network, step, 1, 4, 0)


def _few_values(network: Network, step: Palette | Binary, bits: int, by_row: int, fixed: int) -> Network:
    """Codes of so many bits, besides bytes for each output and for each layer."""

    def beside(weight: Weight) -> float:
        return weight.rows * by_row + fixed

    operators = PRODUCTS if step.layers == "products" else LINEAR
    layers = [
        weight
        for weight in network.matrices(operators, step.exclude)
        if weight.numbers * bits / 8 + beside(weight) + CODEBOOK_NODE_BYTES < 4 * weight.numbers
    ]
    return network.changed(
        layers,
        lambda weight: replace(
            weight,
            bits=bits,
            beside=beside(weight),
            codes=True,
            quantized=True,
            zeros=0.0 if isinstance(step, Binary) else weight.zeros,
        ),
        len(layers) * CODEBOOK_LAYER_BYTES,
    )


def halved(network: Network, step: Float16 | BFloat16) -> Network:
    """Floats in 16 bits. Which nodes keep a quantized model's floats wide nothing tells."""
    if any(weight.quantized for weight in network.weights):
        return network.unsized()
    least = MIN_BFLOAT16_NUMBERS if isinstance(step, BFloat16) else 2
    chosen = [
        weight
        for weight in network.weights
        if weight.is_float
        and weight.bits > 16
        and not weight.facts.nested
        and weight.numbers / weight.facts.count >= least
        and not network.is_excluded(weight, step.exclude)
    ]
    names = HALF_BYTES * sum(weight.facts.count for weight in chosen)
    return network.changed(chosen, lambda weight: replace(weight, bits=16), names)
