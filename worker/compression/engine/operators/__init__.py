"""The one table: (domain, operator) → how torch computes it."""

from typing import Final

from worker.compression.engine.operator import Operator
from worker.compression.engine.operators import (
    activation,
    attention,
    contrib,
    elementwise,
    indexing,
    linear,
    making,
    modes,
    movement,
    normalisation,
    padding,
    pooling,
    quantization,
    recurrent,
    reduction,
    resize,
    selection,
    transposed,
)

FAMILIES: Final = (
    ("", elementwise),
    ("", activation),
    ("", linear),
    ("", transposed),
    ("", recurrent),
    ("", attention),
    ("", normalisation),
    ("", modes),
    ("", pooling),
    ("", reduction),
    ("", movement),
    ("", padding),
    ("", indexing),
    ("", selection),
    ("", making),
    ("", resize),
    ("", quantization),
    ("com.microsoft", contrib),
)
TABLE: Final[dict[tuple[str, str], Operator]] = {
    (domain, name): operator for domain, family in FAMILIES for name, operator in family.OPERATORS.items()
}
