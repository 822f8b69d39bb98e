"""What a compression is judged by and how it is measured, besides the recipe."""

from dataclasses import dataclass, field

from app.contract.job import Benchmark, Evaluation
from app.contract.recipe import Requirements


@dataclass(frozen=True)
class Options:
    """`seed` decides every draw. `max_unpacked_bytes` bounds what an archive may become on disk."""

    evaluation: Evaluation | None = None
    require: Requirements = field(default_factory=Requirements)
    benchmark: Benchmark = field(default_factory=Benchmark)
    seed: int = 0
    max_unpacked_bytes: int = 32 * 2**30
