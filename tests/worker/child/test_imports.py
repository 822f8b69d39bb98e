"""What a child reads of the libraries, and when."""

import subprocess
import sys

CODE = """
import sys
from worker.child.imports import import_on_use
import_on_use()
import worker.child.tasks.jobs
assert "sympy.core" not in sys.modules and "onnx_ir" in sys.modules
import onnx_ir
assert str((onnx_ir.SymbolicDim("N") * 2 + 1)) == "2*N + 1"
import sympy.polys
from sympy import Symbol
assert sympy.polys.Poly(Symbol("x") ** 2).degree() == 2
"""


def test_what_a_job_hardly_ever_uses_is_read_when_it_is_used() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
