"""Whether a dataset feeds a model, by the law of `POST /v1/jobs`, and by which names."""

from typing import Any, Final

from winnow.contract.data_uses import DataUse, only_map
from winnow.contract.dataset import Dataset, DatasetFacts
from winnow.contract.errors import Refusal
from winnow.contract.fitting import check_data
from winnow.contract.model import Model, ModelFacts

MENDED_BY_DECLARING: Final = frozenset({"inputs_do_not_fit", "unknown_input"})
"""All else that there may be against a dataset lies in the rows, which a form chooses."""


def feeds(dataset: Dataset, model: Model) -> bool:
    """Whether the dataset is ready, and read as something that fits every input of the model."""
    if dataset.state != "ready" or not model.inputs:
        return False
    use = DataUse(dataset=dataset.id, map=map_for(dataset, model))
    offered: dict[str, Any] = {name: getattr(dataset, name) for name in DatasetFacts.model_fields}
    taken: dict[str, Any] = {name: getattr(model, name, None) for name in ModelFacts.model_fields}
    try:
        check_data("data", use, ModelFacts.model_construct(**taken), DatasetFacts.model_construct(**offered))
    except Refusal as refusal:
        return refusal.problem.code not in MENDED_BY_DECLARING
    return True


def map_for(dataset: Dataset, model: Model) -> dict[str, str]:
    """From the model's names to the dataset's, where the form needs to ask for none."""
    offers = dataset.inputs or {}
    given = {name for name, offer in offers.items() if offer.array is None}
    own = [spec.name for spec in model.inputs or [] if spec.name not in given]
    return only_map(own, [name for name in offers if name not in given])
