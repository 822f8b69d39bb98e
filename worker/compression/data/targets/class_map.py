"""Number the classes of the data as a model does."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from winnow.contract import fitting
from winnow.contract.errors import Refusal


def class_map(classes: Sequence[str] | None, wanted: Sequence[str] | None) -> npt.NDArray[np.int64] | None:
    """Map the numbers of the data's classes to the places of their names in `wanted`; None where nothing changes.

    Raises `Refusal` `invalid_declaration` where a class of the data is not among the wanted ones.
    """
    if classes is None or wanted is None or list(classes) == list(wanted):
        return None
    missing = sorted(set(classes) - set(wanted))
    if missing:
        raise Refusal(
            "invalid_declaration",
            f"The data has classes that the declaration does not name: {fitting.listed(missing[:10])}.",
            field="declaration.targets.classes",
        )
    places = {name: place for place, name in enumerate(wanted)}
    return np.array([places[name] for name in classes], np.int64)
