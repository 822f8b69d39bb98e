"""The facts, one after the other: none of them costs a job, whatever happens while it is measured."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.report import Latency, Quality
from winnow.contract.robustness import Invariance, Robustness, Unseen, WithoutVnni
from worker.compression.data.samples import Samples
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.quality.parity import DataName
from worker.compression.measure.robustness.dependence import NotMeasured
from worker.compression.measure.robustness.few import few_feeds
from worker.compression.measure.robustness.neighbours import measure_neighbours
from worker.compression.measure.robustness.noise import noise_of
from worker.compression.measure.robustness.padding import measure_padding
from worker.compression.measure.robustness.unseen import UnseenRows, measure_unseen
from worker.compression.measure.robustness.without_vnni.simulate import without_vnni

log = logging.getLogger(__name__)

T = TypeVar("T")


def measure_robustness(
    pair: tuple[Network, Network],
    candidate: Path,
    samples: Samples | None,
    data: DataName,
    *,
    latency: list[Latency],
    quality: list[Quality],
    unseen: UnseenRows,
    benchmark: Benchmark,
    seed: int,
) -> Robustness:
    """Measure the facts of `candidate`, which the second of the pair has loaded. `samples` are of the kind that `data`
    says. Never raises: what could not be measured says why."""

    def feeds() -> list[Feed]:
        return list(few_feeds(pair[0].inputs, samples, benchmark, seed))

    return Robustness(
        neighbours=_measured(
            lambda: measure_neighbours(pair, samples, data, benchmark, seed), _no_invariance
        ),
        padding=_measured(lambda: measure_padding(pair, samples, data, seed), _no_invariance),
        without_vnni=_measured(lambda: without_vnni(candidate, pair[0], feeds), _not_simulated),
        noise=noise_of(latency),
        unseen=_measured(lambda: measure_unseen(quality, unseen), _not_judged),
    )


def _measured(measure: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    try:
        return measure()
    except NotMeasured as why:
        return otherwise(str(why))
    except Refusal as refusal:
        return otherwise(f"It could not be measured: {refusal.problem.detail}")
    except Exception as error:
        log.exception("a fact of robustness could not be measured")
        return otherwise(f"It could not be measured ({type(error).__name__}).")


def _no_invariance(says: str) -> Invariance:
    return Invariance(samples=0, data=None, before=None, after=None, says=says)


def _not_simulated(says: str) -> WithoutVnni:
    return WithoutVnni(
        layers=0, exposed=0, cut_off=None, exact_db=None, cut_off_db=None, seven_bits_db=None, says=says
    )


def _not_judged(says: str) -> Unseen:
    return Unseen(
        part=None, samples=0, metric=None, before=None, after=None, drop=None, drop_interval=None, says=says
    )
