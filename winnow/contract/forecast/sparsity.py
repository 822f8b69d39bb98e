"""What zeros leave of a file, which stores them in little space, and what splitting layers does."""

from dataclasses import replace

from winnow.contract.forecast.network import LINEAR, Network, Weight, is_named
from winnow.contract.recipe import Gradual, Sparsity
from winnow.contract.steps.zeros import zeros_of


def sparsity(network: Network, step: Sparsity) -> Network:
    """The zeros of all layers together are as many in every distribution."""
    layers = [
        weight
        for weight in network.matrices(LINEAR, step.exclude)
        if not step.layers or any(is_named(layer, step.layers) for layer in network.layers(weight))
    ]
    return _with_zeros(network, layers, step.structure, step.block, step.zeros)


def gradual(network: Network, zeros: Gradual, exclude: list[str]) -> Network:
    layers = network.matrices(LINEAR, exclude)
    return _with_zeros(network, layers, zeros.structure, (1, 4), zeros_of(zeros.structure, zeros.sparsity))


def _with_zeros(
    network: Network, layers: list[Weight], structure: str, block: tuple[int, int], share: float
) -> Network:
    fitting = [weight for weight in layers if _divides(network, weight, structure, block)]
    return network.changed(fitting, lambda weight: replace(weight, zeros=max(weight.zeros, share)))


def _divides(network: Network, weight: Weight, structure: str, block: tuple[int, int]) -> bool:
    """Whether the structure fits: inputs in a row, at one position of the kernel, and outputs of one group."""
    if structure == "unstructured":
        return True
    rows, columns = block if structure == "block" else (1, int(structure.split(":")[1]))
    is_convolution = network.layers(weight)[0].op == "Conv"
    inputs = weight.shape[1] if is_convolution else weight.inner
    outputs = weight.rows / weight.facts.groups
    return round(inputs) % columns == 0 and round(outputs) % rows == 0
