"""One virtual environment for each peer, made by pip when it is missing, kept in the user's cache.

Only versions that go together are pinned: each peer is given the newest ONNX and ONNX Runtime that it works with.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "winnow-peers"
PACKAGES: Final = {
    "nncf": ("nncf==3.4.0", "onnx==1.20.1", "onnxruntime==1.23.2"),
    "onnxruntime": ("onnxruntime==1.32.0", "onnx==1.23.2", "sympy"),
    "neural": (
        "onnx-neural-compressor==1.0",
        "onnx==1.16.2",
        "onnxruntime==1.19.2",
        "numpy<2",
        "scipy<1.15",  # these two it imports without naming them
        "prettytable",
    ),
    "onnxslim": ("onnxslim==0.1.98", "onnx==1.20.1", "onnxruntime==1.23.2"),
    "onnxsim": ("onnxsim==0.8.1", "onnx==1.20.1", "onnxruntime==1.23.2"),
}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment. Raises `CalledProcessError` when pip cannot install it."""
    packages = PACKAGES[peer]
    named = hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:10]
    folder = CACHE / f"{peer}-{named}"
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        print(f"Installing {', '.join(packages)} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return python
