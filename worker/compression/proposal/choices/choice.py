"""One way to read one input, and what speaks for it."""

from dataclasses import dataclass, field

from winnow.contract.declaration import InputDeclaration


@dataclass(frozen=True)
class Reason:
    """Why one field of an input is proposed so; `field` is empty for the input itself."""

    field: str
    sure: bool
    because: str


@dataclass(frozen=True)
class Choice:
    """`usual` orders choices that nothing else decides between, the smallest first. `tells` is what it is in words."""

    how: InputDeclaration
    tells: str = ""
    usual: int = 0
    reasons: list[Reason] = field(default_factory=list)
