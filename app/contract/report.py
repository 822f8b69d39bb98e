"""The report: everything a before/after pair, units in the names, measured and never estimated."""

from typing import Any, Literal

from app.contract.base import Interval, Told


class Pair(Told):
    """`ratio` is after / before; null where before is zero."""

    before: int | float
    after: int | float
    ratio: float | None


class Percentiles(Told):
    p50: float
    p90: float
    p95: float
    p99: float
    mean: float


class Latency(Told):
    """Interleaved timing at one batch size and thread count.

    A round times both, every other round the other way about. `speedup` is the median over rounds of
    baseline / candidate, `speedup_interval` its 95 % bootstrap interval. `*_samples_ms` are the raw times
    of single runs, `*_throughput` samples per second at p50.
    """

    batch_size: int
    threads: int
    rounds: int
    provider: str
    shapes: dict[str, list[int]]
    baseline_ms: Percentiles
    candidate_ms: Percentiles
    baseline_samples_ms: list[float]
    candidate_samples_ms: list[float]
    baseline_throughput: float
    candidate_throughput: float
    speedup: float
    speedup_interval: Interval
    speedup_per_round: list[float]


class Quality(Told):
    """A metric on the evaluation data. `drop` is absolute, in the metric's worse direction, with its interval."""

    metric: str
    output: str
    samples: int
    before: float
    after: float
    before_interval: Interval
    after_interval: Interval
    drop: float
    drop_interval: Interval
    held_out: bool


class Parity(Told):
    """How far one output moved from the original's. `cosine` is null where the output is almost zero.

    All figures are null where the original has nothing to compare with: NaN in every sample, or infinities that both
    have. `max_error` is the largest float32, and `cosine` 0, where NaN or infinity came in: the output is broken.
    """

    output: str
    samples: int
    data: Literal["evaluation", "calibration", "random"]
    cosine: float | None
    snr_db: float | None
    max_error: float | None
    mean_error: float | None
    max_relative_error: float | None
    top1_agreement: float | None


class RequirementResult(Told):
    """Something that was asked, and whether it is met. `why` says in a sentence why not, null when it is."""

    name: str
    asked: float
    measured: float | None
    interval: Interval | None
    met: bool
    why: str | None


class StepReport(Told):
    """What a step did and cost. `changed` of `candidates` nodes; `details` is the technique's own account.

    `targets` are the step's own, among the requirements of the whole report where they are not met.
    """

    index: int
    kind: str
    seconds: float
    changed: int
    candidates: int
    size_bytes: int
    opset: int
    notes: list[str]
    targets: list[RequirementResult]
    details: dict[str, Any]


class LayerReport(Told):
    """One layer before and after. `dtype` is that of the weight as stored."""

    name: str
    op: str
    parameters: int
    macs: int | None
    before_dtype: str
    after_dtype: str


class Verdict(Told):
    """In plain words. `faster` and `smaller` are null when not measured or not to be told from the noise."""

    faster: bool | None
    smaller: bool
    worse_by: float | None
    summary: list[str]


class Environment(Told):
    cpu: str
    cpu_flags: list[str]
    cores: int
    memory_bytes: int
    gpus: list[str]
    platform: str
    versions: dict[str, str]
    intra_op_threads: int


class Report(Told):
    """`GET /v1/jobs/{id}/report`. `tidied_bytes` is what removing debug records alone saved,
    `compressed_bytes` what a download takes that asks for the coding zstd."""

    winnow: str
    outcome: Literal["accepted", "requirements_not_met"]
    verdict: Verdict
    requirements: list[RequirementResult]
    source_sha256: str
    artifact_sha256: str
    seed: int
    opset: Pair
    size_bytes: Pair
    compressed_bytes: Pair
    tidied_bytes: int
    parameters: Pair
    macs: Pair | None
    sparsity: Pair
    load_ms: Pair
    peak_rss_bytes: Pair
    latency: list[Latency]
    quality: list[Quality]
    parity: list[Parity]
    steps: list[StepReport]
    layers: list[LayerReport]
    environment: Environment
    notes: list[str]
