"""Name the type of any numpy array. Apart from `values`, so that who reads only arrays does not import onnx_ir."""

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
