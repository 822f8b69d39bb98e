"""Measures how far a candidate's outputs are from the float model's, and what it loses of a metric.

    snr_db   10 log10( Σ x² / Σ (x − y)² ), of the output, or part of a joined one, where it is least
    cosine   of x and y, sample by sample on the average, of the output where it is least
    drop     of the metric, in its worse direction, where there are labels
    agreement    with the float model's answers: the lower bound of its interval, by which the requirement is judged

Judged on a part of the calibration data: the evaluation data has no say in any choice. What is not finite is treated
as in `parity`; a candidate that is NaN or infinite where the float model is not is as bad as can be.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.evaluation import AGREEMENT, ERRORS, Evaluation
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.batch_axis import Axes
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import usable_threads
from worker.compression.measure.feeds import batch_for
from worker.compression.measure.network import Network
from worker.compression.measure.quality.bootstrap import single_interval
from worker.compression.measure.quality.judgement import Judgement, compares_with_labels, judgement_of
from worker.compression.onnx_files import model_files
from worker.compression.quantization.search.output_figures import EXACT_DB, Pairs, compared, cosine, snr
from worker.compression.quantization.search.output_parts import Parts, joined_parts, uneven_parts
from worker.compression.steps.context import Context

MAX_HELD_BYTES = 256 << 20
"""Of the float model's outputs, which are kept; fewer samples are judged where theirs are larger."""


@dataclass(frozen=True)
class OutputQuality:
    """Of a candidate against the float model. `metric` and its drops are None without labels; `relative_drop` is the
    share of what the float model reaches, None where that is 0. `agreement` is None where it is not judged."""

    snr_db: float
    cosine: float
    metric: float | None = None
    drop: float | None = None
    relative_drop: float | None = None
    agreement: float | None = None

    def as_report(self) -> dict[str, float | None]:
        """Make the fields of a report."""
        return (
            {"snr_db": round(self.snr_db, 2), "cosine": round(self.cosine, 6)}
            | ({} if self.metric is None else {"metric": self.metric, "metric_drop": self.drop})
            | ({} if self.agreement is None else {"agreement": self.agreement})
        )


class OutputComparer:
    """Holds the float model's outputs on the samples. `metric` is used where the samples have labels; `agrees`: whether
    answers are compared too, on all samples. All run on the `target`. `apart`: parts of joined outputs whose ranges
    differ strongly (`output_parts`) have each a signal to noise of their own."""

    def __init__(
        self,
        model: ir.Model,
        samples: Samples,
        folder: Path,
        metric: Evaluation | None = None,
        target: Target = DEFAULT_TARGET,
        *,
        agrees: bool = False,
        apart: bool = False,
    ) -> None:
        """Raises `model_does_not_run`, and `not_finite` where none of the float outputs can be compared."""
        self._folder, self._target = folder, target
        self._batch_axes: Axes | None = None
        network = self.network(model, "the float model")
        self._batch_axes = network.batch_axes
        first = next(samples.take(1).batches(1))
        names, answers = network.outputs, network.run(first)
        floats = [n for n, x in zip(names, answers, strict=True) if x.dtype.kind == "f" and x.size]
        size = sum(x.nbytes for x in answers)
        self.samples = samples.take(max(1, MAX_HELD_BYTES // max(1, size)))
        self._judgement = self._judged(network, metric)
        self._answers = self._agreeing(network, metric) if agrees else None
        self._expected_answers: list[Any] | None = None
        judged = self._judgement or self._answers
        scored = [] if judged is None else judged.decoder.outputs
        self._names = list(dict.fromkeys([*floats, *scored]))
        at_once = batch_for(self.samples) if judged is None else judged.batch_size(self.samples)
        self._feeds = list(self.samples.counted_batches(at_once))
        self._expected = [network.run(feed, self._names) for feed, _ in self._feeds]
        self._outputs = [
            i
            for i in range(len(floats))
            if any(compared(x[i], x[i])[2].any() for x in self._expected if x[i].size)
        ]
        if floats and not self._outputs:
            raise Refusal(
                "not_finite",
                f"The float model has NaN or infinity in all of its answers to the calibration data: "
                f"{', '.join(map(repr, floats))}. Check its weights, and the data's scale, mean and std.",
            )
        self._before = self._value(self._expected)
        self.parts = self._uneven_parts(model) if apart else {}

    def _uneven_parts(self, model: ir.Model) -> dict[str, Parts]:
        """Of the outputs that are to be judged part by part."""
        known = joined_parts(model)
        parts = {
            self._names[i]: uneven_parts(known[self._names[i]], [x[i] for x in self._expected])
            for i in self._outputs
            if self._names[i] in known
        }
        return {name: of_output for name, of_output in parts.items() if of_output is not None}

    def _judged(self, network: Network, evaluation: Evaluation | None) -> Judgement | None:
        """What the metric that decides is made of; None without labels, or where it needs none."""
        if evaluation is None or not compares_with_labels(evaluation, self.samples):
            return None
        return judgement_of(evaluation, network, self.samples)

    def _agreeing(self, network: Network, evaluation: Evaluation | None) -> Judgement | None:
        """What compares answers; None where no task says what an answer is."""
        if evaluation is None:
            return None
        alone = evaluation.model_copy(update={"task": evaluation.named_task, "metric": AGREEMENT, "also": []})
        return judgement_of(alone, network, replace(self.samples, targets=None))

    @property
    def labelled(self) -> bool:
        return self._judgement is not None

    def network(self, model: ir.Model, role: str, threads: int | None = None) -> Network:
        """A session of a graph in memory."""
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "model.onnx"
            model_files.save(model, path)
            return Network(path, threads or usable_threads(), role, self._batch_axes, self._target)

    def __call__(self, model: ir.Model, max_samples: int | None = None) -> OutputQuality:
        """Compare on the first `max_samples` or a few more, to whole batches. Raises `model_does_not_run`."""
        network = self.network(model, "a candidate")
        outputs: list[list[Array]] = []
        done = 0
        for feed, rows in self._feeds:
            outputs.append(network.run(feed, self._names))
            done += rows
            if max_samples is not None and done >= max_samples:
                break
        expected = self._expected[: len(outputs)]
        pairs = [
            [(x[i], y[i]) for x, y in zip(expected, outputs, strict=True) if x[i].size or y[i].size]
            for i in self._outputs
        ]
        metric = self._value(outputs)
        before = self._before if len(outputs) == len(self._expected) else self._value(expected)
        drop = None if metric is None or before is None else self._drop(before, metric)
        share = None if drop is None or not before else drop / abs(before)
        return OutputQuality(
            min(map(snr, self._apart(pairs)), default=EXACT_DB),
            min(map(cosine, pairs), default=1.0),
            metric,
            drop,
            share,
            self._agreement(outputs) if max_samples is None else None,
        )

    def _apart(self, by_output: list[Pairs]) -> list[Pairs]:
        """Take outputs apart, batch by batch; one stays whole where a candidate's has another shape."""
        apart: list[Pairs] = []
        for index, pairs in zip(self._outputs, by_output, strict=True):
            parts = self.parts.get(self._names[index])
            if parts is None or any(x.shape != y.shape for x, y in pairs):
                apart.append(pairs)
            else:
                split = [list(zip(parts.split(x), parts.split(y), strict=True)) for x, y in pairs]
                apart += [list(part) for part in zip(*split, strict=True)]
        return apart

    def _agreement(self, outputs: list[list[Array]]) -> float | None:
        if self._answers is None:
            return None
        if self._expected_answers is None:
            self._expected_answers = self._predictions(self._answers, self._expected)
        measure, own = self._answers.measures[AGREEMENT], self._predictions(self._answers, outputs)
        records = [measure.record(*pair) for pair in zip(own, self._expected_answers, strict=True)]
        gathered = measure.gather(np.concatenate(records))
        value, work = measure.value(gathered).value, measure.work(gathered)
        return single_interval(gathered, measure.statistic, value, 0, work)[0]

    def _predictions(self, judgement: Judgement, outputs: list[list[Array]]) -> list[Any]:
        at = [self._names.index(name) for name in judgement.decoder.outputs]
        return [
            judgement.predictions([answers[place] for place in at], feed, rows)
            for (feed, rows), answers in zip(self._feeds, outputs, strict=False)
        ]

    def _value(self, outputs: list[list[Array]]) -> float | None:
        if self._judgement is None:
            return None
        metric, measure = next(iter(self._judgement.labelled.items()))
        records, start = [], 0
        for (_, rows), predictions in zip(
            self._feeds, self._predictions(self._judgement, outputs), strict=False
        ):
            records.append(self._judgement.records(predictions, start, rows)[metric])
            start += rows
        return measure.value(measure.gather(np.concatenate(records))).value

    def _drop(self, before: float, after: float) -> float:
        assert self._judgement is not None
        return after - before if next(iter(self._judgement.labelled)) in ERRORS else before - after


def job_comparer(
    model: ir.Model, samples: Samples, context: Context, *, apart: bool = False
) -> OutputComparer:
    """Make what compares candidates with this float model by all that the job requires. Raises what it raises."""
    return OutputComparer(
        model,
        samples,
        context.scratch,
        context.evaluation,
        context.target,
        agrees=context.require.min_agreement is not None,
        apart=apart,
    )
