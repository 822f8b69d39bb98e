"""Measure what only a result that misses something needs: the outputs after each step, and where the time goes."""

import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from winnow.contract.requirements import SPEED
from worker.compression.data.samples import Samples
from worker.compression.graph.normal_form.in_float32 import ALL_FLOAT32
from worker.compression.machine.threads import usable_threads
from worker.compression.materials import Materials
from worker.compression.measure.feeds import batch_for, benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.quality.parity import compare_outputs
from worker.compression.measure.timing.quiet import Patience
from worker.compression.measure.verdict.outputs import least_snr_db
from worker.compression.quantization.search.layer_profile import (
    graph_name,
    layers_by_profiled_name,
    profile,
)
from worker.compression.result.causes.evidence import Evidence, is_quality, is_untouched
from worker.compression.run_steps import result_of

SAMPLES = 64
"""On which the model after each step is compared with the original."""


def gather(report: Report, recipe: Recipe, materials: Materials) -> Evidence:
    """Make the evidence for what is not met; what cannot be measured is left out."""
    evidence = Evidence(report, recipe.steps)
    if materials.upload.is_large:
        return evidence
    unmet = list(evidence.unmet())
    if any(is_quality(entry.name) for entry in unmet):
        evidence = replace(evidence, snr_db=_snr_after_steps(evidence, materials))
    if any(entry.name in SPEED and entry.measured is not None for entry in unmet):
        evidence = replace(evidence, untouched=_untouched_time(evidence, materials))
    return evidence


def _snr_after_steps(evidence: Evidence, materials: Materials) -> list[float]:
    """Measure the outputs after each step, where several changed something and all were done in this attempt."""
    source = materials.data.calibration or materials.data.evaluation
    samples = materials.samples(source)
    files = [result_of(materials.scratch, index) for index in range(len(evidence.steps))]
    if len(evidence.changed) < 2 or samples is None or not all(file.exists() for file in files):
        return []
    try:
        drawn = samples.draw(SAMPLES, materials.options.seed).unpadded()
        original = Network(materials.upload.path, usable_threads(), "the original model")
        values = [_snr(original, file, drawn) for file in files]
    except Refusal:  # a model in the middle of a recipe need not run
        return []
    known = [value for value in values if value is not None and value > -math.inf]
    return known if len(known) == len(files) else []


def _snr(original: Network, file: Path, samples: Samples) -> float | None:
    after = Network(file, original.threads, "the model after a step", original.batch_axes)
    feeds = samples.fed_batches(batch_for(samples))
    parity, uncompared, _notes = compare_outputs(original, after, feeds, "calibration", lambda _: None)
    return least_snr_db(parity, uncompared)


def _untouched_time(evidence: Evidence, materials: Materials) -> dict[str, float]:
    """Profile the original; return the shares of time, by operator, of what the steps left as it was."""
    upload = materials.upload
    if upload.float_types != ALL_FLOAT32 or not evidence.changed:
        return {}  # its float32 form is no measure of its time
    layers = {layer.name: layer for layer in evidence.report.layers}
    try:
        times = _times(materials)
    except Refusal:  # others measure for too long
        return {}
    layer_of = layers_by_profiled_name(upload.float32, layers)
    operators = {str(node.name): node.op_type for node in upload.float32.graph}
    untouched: dict[str, float] = defaultdict(float)
    for name, milliseconds in times.items():
        layer = layers.get(layer_of(name) or "")
        if layer is None:
            untouched[operators.get(graph_name(name), "other")] += milliseconds
        elif is_untouched(layer):
            untouched[layer.op] += milliseconds
    total = sum(times.values())
    return {operator: spent / total for operator, spent in untouched.items()} if total else {}


def _times(materials: Materials) -> dict[str, float]:
    upload, benchmark, data = materials.upload, materials.options.benchmark, materials.data
    network = Network(upload.path, 1, "the original model")
    samples = materials.samples(data.evaluation or data.calibration)
    feed, _ = benchmark_feed(
        network.inputs, benchmark.batch_sizes[0], benchmark.shapes, samples, materials.options.seed
    )
    return profile(upload.float32, network.fit(feed), materials.scratch, Patience(materials.progress))
