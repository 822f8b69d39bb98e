"""A network like LeNet-5 with a quarter of its parameters, untrained, as ONNX."""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn


def student(teacher: Path, path: Path, seed: int) -> Path:
    """15,252 parameters against 61,706; inputs and outputs are called as the teacher's."""
    graph = onnx.load(str(teacher)).graph
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(200, 58), nn.ReLU(), nn.Linear(58, 42), nn.ReLU(), nn.Linear(42, 10),
    )  # fmt: skip
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, 1, 28, 28),),
            path,
            input_names=[graph.input[0].name],
            output_names=[graph.output[0].name],
            dynamic_shapes=({0: "N"},),
            external_data=False,
            verbose=False,
        )
    return path
