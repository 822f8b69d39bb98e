"""What all steps have in common."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from winnow.contract.base import RequestModel
from winnow.contract.glob import GlobText


def _whole(value: Any) -> Any:
    """Pydantic takes 8.0 for the literal 8, and true for 1."""
    if type(value) is not int:
        raise ValueError(f"a whole number was expected, not {value!r:.50}")
    return value


WHOLE: Final = BeforeValidator(_whole)
"""For literals that are numbers."""

Need = Literal["calibration", "training", "evaluation"]

Patterns = Annotated[
    list[GlobText],
    Field(
        default_factory=list,
        max_length=100,
        description="Shell-style patterns (`*/head/*`) of node names that stay as they are; of an embedding "
        "the table's name will do.",
        examples=[["*/head/*"]],
    ),
]

Samples = Annotated[
    int, Field(default=512, ge=1, le=100_000, description="Calibration samples drawn with the seed.")
]

Repair = Annotated[
    bool,
    Field(
        default=True,
        description="What makes 8 bits collapse is looked for and repaired, where that is measured to help: sentinels "
        "and masks stay out of ranges, channels of very different scale are evened out.",
    ),
]

Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]

KIND: Final = "Tells the kinds of steps apart."

ORIGINAL: Final = "original"
"""The name of the upload that a job compresses, where a model is asked for."""


class Step(RequestModel):
    """What all steps have in common: what `POST /v1/jobs` checks beforehand, and what is done with any step's result.

    `needs` is the data that no setting of the step does without; `without_data` says which settings do without
    calibration data, `or_training` that training data serves in its place. `takes` is the kind of graph that a step
    works on: of floats, with Q/DQ nodes, or either.
    `quantizes`, and `writes_qdq`: as Q/DQ nodes. `halves`: the weights that it leaves have 16 bits.
    `stores_few_values`: its weights take few values, which can be trained as floats and are packed in the artifact.
    `lossless`: no number of the outputs becomes another, so that floats stay of the types that the upload has, and the
    result is taken only where it is not slower.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    or_training: ClassVar[bool] = False
    without_data: ClassVar[str] = ""
    quantizes: ClassVar[bool] = False
    writes_qdq: ClassVar[bool] = False
    halves: ClassVar[bool] = False
    stores_few_values: ClassVar[bool] = False
    chooses: ClassVar[bool] = False
    lossless: ClassVar[bool] = False
    takes: ClassVar[Literal["float", "quantized", "any"]] = "any"

    @property
    def required(self) -> frozenset[Need]:
        """The data that the step, set as it is, does not do without."""
        return self.needs

    @property
    def patterns(self) -> list[str]:
        """Of node names that stay as they are; none where the step is to find them itself."""
        given = getattr(self, "exclude", [])
        return given if isinstance(given, list) else []

    @property
    def may_keep_original(self) -> bool:
        """Whether the step chooses what it changes, for this machine: the model as it was is one of its candidates."""
        return self.chooses

    @property
    def makes_zeros(self) -> bool:
        return False

    @property
    def packs(self) -> bool | None:
        """Whether zeros and few values are packed in the artifact; None where the step has no say."""
        return True if self.stores_few_values else None

    @property
    def needs_labels(self) -> bool:
        """Whether the training data has to have labels."""
        return False

    @property
    def models(self) -> dict[str, str]:
        """Other uploads that the step works with: field → id."""
        return {}
