"""The step that takes words out of a model's tables."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.steps.base import KIND, Need, Patterns, Step

Id = Annotated[int, Field(ge=0, lt=2**31)]


class VocabularyPruning(Step):
    """Take rows out of embedding tables that no id of the data looks up; ids and tokenizer stay as they were."""

    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})
    or_training: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    chooses: ClassVar[bool] = True

    kind: Literal["vocabulary_pruning"] = Field(description=KIND)
    keep: list[Id | tuple[Id, Id]] = Field(
        default_factory=list,
        max_length=10_000,
        description="Ids that stay though the data has none of them: numbers, and ranges [start, stop] without their "
        "stop.",
        examples=[[100, [101, 104]]],
    )
    fallback_id: Id | None = Field(
        default=None,
        description="What an id without a row is taken for; null: the unknown token of the tokenizer, where the data "
        "is texts, else of the rows that stay the one nearest to the mean of those that go.",
    )
    head: Literal["full", "short"] = Field(
        default="full",
        description="Logits of an output head with one for each id: at their old places, the lowest finite number for "
        "ids that are gone (`full`), or those of the ids that stay alone (`short`; the report has the ids).",
    )
    exclude: Patterns

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """`keep` as ranges (start, stop)."""
        return [(entry, entry + 1) if isinstance(entry, int) else entry for entry in self.keep]

    @model_validator(mode="after")
    def _ranges_that_hold_ids(self) -> Self:
        for start, stop in self.ranges:
            if start >= stop:
                raise ValueError(
                    f"keep: [{start}, {stop}] holds no id; a range goes from its start to before its stop"
                )
        return self
