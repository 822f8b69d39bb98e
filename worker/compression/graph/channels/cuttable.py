"""What a cut may take of a transformer."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Cuttable:
    """`heads`: attention heads go `whole`, or the same channels go `inside` all of them. `embedding_width`: channels of
    the residual stream go, over which normalisations take their statistics; else those stay."""

    heads: Literal["whole", "inside"] = "whole"
    embedding_width: bool = False


WHOLE_HEADS: Final = Cuttable()
