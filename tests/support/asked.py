"""Contract objects as the service tells them, with what a test does not care about filled in."""

from datetime import UTC, datetime
from typing import Any

from winnow.contract.data_uses import DataUses
from winnow.contract.job import Benchmark, Job, Limits
from winnow.contract.recipe import Int8Dynamic, Recipe, Requirements
from winnow.contract.report import (
    Environment,
    Latency,
    LayerReport,
    Pair,
    Parity,
    Percentiles,
    Quality,
    Report,
    RequirementResult,
    StepReport,
    Verdict,
)
from winnow.contract.trial import Trial

THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(**changes: Any) -> Job:
    base: dict[str, Any] = {
        "id": "job_1",
        "state": "queued",
        "outcome": None,
        "attempt": 1,
        "max_attempts": 3,
        "queue_position": None,
        "waiting_for": None,
        "step": None,
        "progress": 0.0,
        "seconds_left": None,
        "problem": None,
        "requirements": None,
        "graph_sha256": None,
        "artifact": None,
        "curves": None,
        "trials": None,
        "created_at": THEN,
        "started_at": None,
        "finished_at": None,
        "model": "mdl_1",
        "name": None,
        "tags": {},
        "seed": 0,
        "recipe": Recipe(steps=[Int8Dynamic(kind="int8_dynamic")]),
        "data": DataUses(),
        "evaluation": None,
        "require": Requirements(),
        "benchmark": Benchmark(),
        "target": "onnxruntime-cpu",
        "limits": Limits(),
        "needs": ["cpu"],
        "priority": 0,
    }
    return Job.model_validate(base | changes)


def trial(**changes: Any) -> Trial:
    """A trial that waits."""
    base: dict[str, Any] = {
        "number": 0,
        "state": "waiting",
        "recipe": Recipe(steps=[Int8Dynamic(kind="int8_dynamic")]),
        "size_bytes": None,
        "speedup": None,
        "metrics": {},
        "meets": None,
        "pareto": False,
        "share": 1.0,
        "seconds": 0.0,
        "worker": None,
        "problem": None,
        "artifact": None,
    }
    return Trial.model_validate(base | changes)


def report(**changes: Any) -> Report:
    """An int8 job that made the model four times smaller, twice as fast and half a point worse."""
    base: dict[str, Any] = {
        "winnow": "0.1.0",
        "outcome": "requirements_not_met",
        "verdict": Verdict(
            faster=True,
            smaller=True,
            worse_by=0.005,
            recommend="use_result",
            because="It is faster.",
            summary=["Twice as fast, a quarter of the size."],
        ),
        "requirements": [
            RequirementResult(
                name="min_speedup", asked=1.5, measured=2.04, interval=(1.98, 2.11), met=True, why=None
            ),
            RequirementResult(
                name="max_metric_drop",
                asked=0.001,
                measured=0.005,
                interval=(0.0, 0.01),
                met=False,
                why="top1 may be worse by 0.01.",
            ),
        ],
        "source_sha256": "a" * 64,
        "artifact_sha256": "b" * 64,
        "graph_sha256": "c" * 64,
        "seed": 0,
        "opset": Pair(before=17, after=17, ratio=1.0),
        "size_bytes": Pair(before=4 * 2**20, after=2**20, ratio=0.25),
        "compressed_bytes": {"before": 200, "after": 50, "ratio": 0.25},
        "tidied_bytes": 0,
        "parameters": Pair(before=1_128_938, after=1_128_938, ratio=1.0),
        "macs": Pair(before=33_000_000, after=33_000_000, ratio=1.0),
        "sparsity": Pair(before=0.0, after=0.0, ratio=None),
        "load_ms": Pair(before=20.0, after=12.0, ratio=0.6),
        "peak_rss_bytes": Pair(before=30 * 2**20, after=15 * 2**20, ratio=0.5),
        "latency": [latency(1, 1), latency(8, 1)],
        "quality": [
            Quality(
                metric="top1",
                output="logits",
                samples=600,
                before=0.99,
                after=0.985,
                before_interval=(0.98, 0.997),
                after_interval=(0.975, 0.993),
                drop=0.005,
                drop_interval=(0.0, 0.01),
                held_out=True,
            )
        ],
        "parity": [
            Parity(
                output="logits",
                samples=600,
                data="evaluation",
                cosine=0.99912,
                snr_db=27.5,
                max_error=0.8,
                mean_error=0.1,
                max_relative_error=0.2,
                top1_agreement=0.99,
            )
        ],
        "steps": [
            StepReport(
                index=0,
                kind="int8_static",
                seconds=3.2,
                changed=7,
                candidates=8,
                size_bytes=2**20,
                opset=17,
                targets=[],
                notes=["gemm [/head] stays float32"],
                details={},
            )
        ],
        "layers": [
            LayerReport(
                name="conv",
                op="Conv",
                parameters=Pair(before=10, after=10, ratio=1.0),
                macs=Pair(before=100, after=100, ratio=1.0),
                size_bytes=Pair(before=40, after=10, ratio=0.25),
                before_dtype="float32",
                after_dtype="int8",
            )
        ],
        "environment": Environment(
            cpu="x",
            cpu_flags=[],
            cores=2,
            memory_bytes=2**33,
            gpus=[],
            platform="Linux",
            versions={},
            intra_op_threads=1,
        ),
        "notes": [],
    }
    return Report.model_validate(base | changes)


def latency(batch_size: int, threads: int) -> Latency:
    before, after = (Percentiles(p50=p50, p90=p50, p95=2 * p50, p99=3 * p50, mean=p50) for p50 in (0.5, 0.25))
    return Latency(
        batch_size=batch_size,
        threads=threads,
        rounds=15,
        provider="CPUExecutionProvider",
        shapes={},
        baseline_ms=before,
        candidate_ms=after,
        baseline_samples_ms=[0.5] * 15,
        candidate_samples_ms=[0.25] * 15,
        baseline_throughput=2000.0,
        candidate_throughput=4000.0,
        speedup=2.0,
        speedup_interval=(1.95, 2.05),
        sessions=5,
        speedup_per_round=[2.0] * 15,
        control_per_round=[1.0] * 15,
        others_share=0.01,
        untold=None,
    )
