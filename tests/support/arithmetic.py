"""What really runs, as a report has it, for tests of what shows it."""

from winnow.contract.arithmetic import Arithmetic, Kernels


def arithmetic(says: str = "It computes <b>.") -> Arithmetic:
    """Of a convolutional network in 8 bits, whose original could not be told."""
    after = Kernels(
        nodes=20, integer_nodes=0.6, float_nodes=0.1, other_nodes=0.3, integer_macs=0.98, float_macs=0.02,
        float_types=["float32"], products={"Conv": 1, "QLinearConv": 9},
    )  # fmt: skip
    return Arithmetic(runtime="ONNX Runtime", before=None, after=after, says=says)
