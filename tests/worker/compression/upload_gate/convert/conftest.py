"""A small network in PyTorch's formats, made once."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")


class Network(torch.nn.Module):  # type: ignore[misc, name-defined]
    """image[N,1,8,8] → logits[N,5], with a buffer that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3)
        self.fc = torch.nn.Linear(4 * 36, 5)
        self.register_buffer("shift", torch.arange(5.0))

    def forward(self, image):  # type: ignore[no-untyped-def]
        return self.fc(torch.relu(self.conv(image)).flatten(1)) + self.shift


@pytest.fixture(scope="session")
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def expected(network: Network, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


@pytest.fixture(scope="session")
def exported(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "network.pt2"
    batch = {"image": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(network, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=batch), path)
    return path


@pytest.fixture(scope="session")
def scripted(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "network.pt"
    torch.jit.save(torch.jit.script(network), path)
    return path
