"""One module makes the sessions of the library."""

from pathlib import Path

import worker.compression

LIBRARY = Path(worker.compression.__file__).parent


def test_only_one_module_makes_sessions() -> None:
    makers = [path for path in LIBRARY.rglob("*.py") if "InferenceSession(" in path.read_text()]
    assert makers == [LIBRARY / "runtime" / "session.py"]
