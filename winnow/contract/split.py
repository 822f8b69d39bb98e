"""How one dataset was split: which rows a job worked on, chose by, and was judged on.

Each row has a code of two bits, its place among `PARTS`; four rows make a byte, the first one in its lowest bits.
"""

import base64
from collections.abc import Iterable
from typing import Final, Literal, get_args

from pydantic import Field

from winnow.contract.base import ResponseModel

Part = Literal["training", "selection", "final", "unused"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
ROWS_PER_BYTE: Final = 4


class DataSplit(ResponseModel):
    """One dataset, split by the job's seed. `training` rows calibrate and train, `final` rows judge the result. Of a
    search that was given evaluation data it is that, in two halves without `training`."""

    seed: int = Field(description="Of the job, by which rows were drawn.")
    samples: int = Field(description="Number of rows of the dataset.")
    counts: dict[Part, int] = Field(
        description="Rows by part: `training` for calibration and training, `selection` for choices between results, "
        "`final` to judge by, `unused` that would not fill a batch of the model, or lie outside of a slice."
    )
    stratified: bool = Field(description="Whether each class is split in the same shares.")
    groups: int | None = Field(
        description="Number of groups whose rows were kept together; null where rows were drawn one by one."
    )
    rows: str = Field(
        description="The part of each row in base64: two bits a row, the first row in the lowest bits of the first "
        "byte; 0 training, 1 selection, 2 final, 3 unused."
    )


def packed(codes: Iterable[int]) -> str:
    """Pack the places of parts, one a row."""
    numbers = bytes(codes)
    padded = numbers + bytes(-len(numbers) % ROWS_PER_BYTE)
    columns = (padded[place::ROWS_PER_BYTE] for place in range(ROWS_PER_BYTE))
    return base64.b64encode(
        bytes(a | b << 2 | c << 4 | d << 6 for a, b, c, d in zip(*columns, strict=True))
    ).decode()


def rows_of(split: DataSplit, part: Part) -> list[int]:
    """Return the numbers of the rows of one part, ascending."""
    wanted, octets = PARTS.index(part), base64.b64decode(split.rows)
    return [row for row in range(split.samples) if octets[row // 4] >> row % 4 * 2 & 3 == wanted]
