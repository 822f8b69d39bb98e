"""Sets of operators that several techniques mean, each under one name: what is special to one technique stays there."""

from typing import Final

MATMULS: Final = frozenset({"MatMul", "Gemm"})
MATMULS_AND_CONV: Final = MATMULS | {"Conv"}
MATMULS_AND_LSTM: Final = MATMULS | {"LSTM"}
MATMULS_CONV_AND_GATHER: Final = MATMULS_AND_CONV | {"Gather"}
