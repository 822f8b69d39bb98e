"""Zeros among weights: in which places, how many, and how their number grows."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from winnow.contract.base import RequestModel

Structure = Annotated[
    str,
    Field(
        default="unstructured",
        pattern=r"^(unstructured|block|[1-9]\d?:[1-9]\d?)$",
        description="`unstructured`, `block`, or N:M (`2:4`): N weights of every M inputs in a row are kept.",
    ),
]


def zeros_of(structure: str, sparsity: float | None) -> float:
    """The share of zeros: of N:M (M - N) / M, else what is asked, by itself a half."""
    if ":" not in structure:
        return 0.5 if sparsity is None else sparsity
    kept, of = map(int, structure.split(":"))
    return (of - kept) / of


def refuse_bad_structure(structure: str, sparsity: float | None) -> None:
    """Raises `ValueError`, which pydantic makes a refusal of."""
    if ":" not in structure:
        return
    kept, of = map(int, structure.split(":"))
    if kept >= of:
        raise ValueError(
            f"{structure} keeps {kept} of {of} weights, which cuts nothing: N has to be less than M"
        )
    if sparsity is not None:
        raise ValueError(f"{structure} says the share of zeros already: leave sparsity out")


class Gradual(RequestModel):
    """Zeros that grow in number while the weights learn: s(t) = s - (s - s0)(1 - t)^3 (Zhu & Gupta 2017)."""

    structure: Structure
    sparsity: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Share of zeros at the end, by itself 0.5; N:M has its own, (M - N) / M."
    )
    until: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.7, description="Share of the steps after which the zeros stay where they are."
    )

    @model_validator(mode="after")
    def _structure_that_works(self) -> Self:
        refuse_bad_structure(self.structure, self.sparsity)
        return self
