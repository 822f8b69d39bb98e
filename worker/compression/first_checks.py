"""What is refused before any work is done."""

from collections.abc import Sequence

from winnow.contract.errors import Refusal
from winnow.contract.recipe import AnyStep
from winnow.contract.target import Target
from winnow.contract.target_rules.refusal import refuse_what_cannot_run, refuse_what_is_not_taken
from worker.compression.apply import check
from worker.compression.graph.facts.checked import checked_graph
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.half_precision.float_types import check_types
from worker.compression.materials import Materials
from worker.compression.measure.apart.memory import measure_fresh
from worker.compression.measure.baseline import ORIGINAL, check_baseline
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.runtime.executable import TargetUnavailable
from worker.compression.runtime.targets import opener


def check_job(steps: Sequence[AnyStep], materials: Materials) -> None:
    """Check that the steps can be done, that the data fits, and that the original runs on it.

    Raises `Refusal`: `target_unavailable`, `target_cannot_run`, and what `check_types`, `open_samples`, `apply.check`
    and `check_baseline` raise.
    """
    upload = materials.upload
    _check_target(materials.options.target)
    if (target := materials.options.checked) is not None:  # also where inspection kept no graph
        refuse_what_cannot_run(target, checked_graph(upload.normal_form), steps)
        refuse_what_is_not_taken(target, steps)
    check_types(upload.float32, upload.float_types, steps)
    for source in (materials.data.calibration, materials.data.evaluation):
        materials.samples(source)
    check(upload.float32, steps, materials.model)
    if upload.is_large:
        _run_once(materials)
    else:
        _judge_original(materials)


def _check_target(target: Target) -> None:
    try:
        opener(target)
    except TargetUnavailable as error:
        raise Refusal("target_unavailable", str(error), field="target") from error


def _judge_original(materials: Materials) -> None:
    """It runs, on the data that is given, and its own quality comes first; of a trial nobody reads that."""
    data, options = materials.data, materials.options
    evaluation = None if options.judging == "trial" else options.evaluation
    samples = materials.samples(data.evaluation), materials.samples(data.calibration)
    notes = check_baseline(
        materials.upload.path,
        *samples,
        evaluation,
        options.benchmark,
        options.seed,
        options.target,
        materials.upload.fixed,
    )
    figures = notes[:1] if evaluation is not None else []
    for note in notes:
        materials.progress.log(note, "info" if note in figures else "warning")


def _run_once(materials: Materials) -> None:
    """In a process of its own: what a large model takes there is none of this one's memory. It is judged at the end."""
    upload, data, options = materials.upload, materials.data, materials.options
    inputs, benchmark = inputs_of(upload.float32), options.benchmark
    samples = materials.samples(data.evaluation or data.calibration, inputs)
    feed, _ = benchmark_feed(inputs, benchmark.batch_sizes[0], benchmark.shapes, samples, options.seed)
    measure_fresh(upload.path, feed, benchmark.thread_counts[0], ORIGINAL, options.processes, options.target)
