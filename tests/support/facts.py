"""What inspection finds, without inspecting: facts for tests that are about something else."""

from typing import Any

from winnow.contract.dataset import ArrayFacts, DatasetFacts, DatasetInput
from winnow.contract.model import Layer, ModelFacts, TensorSpec


def tensor(name: str, *shape: int | str | None, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=list(shape))


def model_facts(**changes: Any) -> ModelFacts:
    """A small image classifier: input[N,3,8,8] → logits[N,10], two layers."""
    base: dict[str, Any] = {
        "opset": 18,
        "inputs": [tensor("input", "N", 3, 8, 8)],
        "outputs": [tensor("logits", "N", 10)],
        "parameters": 1000,
        "macs": 100_000,
        "quantized": False,
        "operators": {"Conv": 1, "Gemm": 1},
        "layers": [
            Layer(name="/features/conv1", op="Conv", weight=[8, 3, 3, 3], macs=90_000),
            Layer(name="/head/fc", op="Gemm", weight=[10, 8], macs=10_000),
        ],
    }
    return ModelFacts.model_validate(base | changes)


def array(
    dtype: str, *shape: int, low: float = 0.0, high: float = 1.0, bad: list[int] | None = None
) -> ArrayFacts:
    return ArrayFacts(
        dtype=dtype, shape=list(shape), min=low, max=high, finite=bad is None, first_not_finite=bad
    )


def dataset_facts(**changes: Any) -> DatasetFacts:
    """1024 rows of `input` [3,8,8] as float32, and labels 0–9."""
    base: dict[str, Any] = {
        "samples": 1024,
        "arrays": {"input": array("float32", 1024, 3, 8, 8), "labels": array("int64", 1024, high=9)},
        "inputs": {"input": DatasetInput(dtype="float32", shape=[3, 8, 8], array="input")},
        "target": "labels",
    }
    return DatasetFacts.model_validate(base | changes)
