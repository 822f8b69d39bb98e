"""The report: what was done and what was measured, and the facts of both that go into the artifact."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.graph_hash import graph_sha256
from winnow.contract.recipe import Recipe
from winnow.contract.report import Latency, LayerReport, Pair, Report, StepReport
from winnow.contract.target_rules.onnx_file import graph_of_file
from worker.compression.data.split import sentence
from worker.compression.graph.facts import cost
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.low_rank.graph_surgery import original_layer
from worker.compression.materials import Materials
from worker.compression.measure.apart.processes import Comparison
from worker.compression.measure.compare import pair_of
from worker.compression.measure.verdict.requirements import judge, outcome_of
from worker.compression.measure.verdict.verdict import verdict
from worker.compression.onnx_files.sizes import bytes_of, compressed_bytes_of, sha256_of
from worker.compression.options import Options
from worker.compression.result.portability import checked, in_words, portability, refused
from worker.compression.upload.upload import Upload

WINNOW: Final = version("winnow-service")
IN_BFLOAT16: Final = (
    "OpenVINO computed floats of both models in bfloat16, as precision asks: what is said of the outputs compares one "
    "with the other there, and neither with float32."
)


def assemble(
    upload: Upload,
    artifact: Path,
    graph: ir.Model,
    steps: list[StepReport],
    measured: Comparison,
    materials: Materials,
    handed_over: Sequence[Path] = (),
) -> Report:
    """Make the report of the file `artifact`, whose graph this is; causes of what is not met are not in it yet.
    `handed_over`: the graphs of a package that are in its place."""
    options, split = materials.options, materials.data.split
    files = handed_over or [artifact]
    size = pair_of(upload.size_bytes, bytes_of(*files))
    shapes = measured.shapes
    figures: dict[str, Any] = {
        "quality": measured.quality,
        "latency": measured.latency,
        "parity": measured.parity,
        "size_bytes": size,
        "uncompared": measured.uncompared,
        "nan_samples": measured.nan_samples,
    }
    written = graph_of_file(artifact)
    target = options.checked and checked(options.checked, options.target, graph_of_file(upload.path), written)
    refusal = refused(target)
    requirements = judge(options.require, **figures, peak_rss_bytes=measured.peak_rss_bytes, refused=refusal)
    if options.judging == "result":  # in a search what a step aims for is a means
        requirements += [target for step in steps for target in step.targets if not target.met]
    before = upload.normal_form
    return Report(
        winnow=WINNOW,
        outcome=outcome_of(options.require, requirements),
        verdict=verdict(**figures, changed=sum(step.changed for step in steps), refused=refusal),
        requirements=requirements,
        source_sha256=upload.sha256,
        artifact_sha256=sha256_of(artifact),
        graph_sha256=graph_sha256(artifact),
        seed=options.seed,
        opset=pair_of(opset_of(before), opset_of(graph)),
        size_bytes=size,
        compressed_bytes=pair_of(compressed_bytes_of(*upload.files), compressed_bytes_of(*files)),
        tidied_bytes=upload.tidied_bytes,
        parameters=pair_of(cost.parameters(before), cost.parameters(graph)),
        macs=_pair(cost.macs(before, shapes), cost.macs(graph, shapes)),
        sparsity=pair_of(cost.sparsity(before), cost.sparsity(graph)),
        load_ms=measured.load_ms,
        peak_rss_bytes=measured.peak_rss_bytes,
        latency=measured.latency,
        quality=measured.quality,
        parity=measured.parity,
        steps=steps,
        layers=layers(before, graph, shapes),
        split=split,
        target=target,
        portability=portability(artifact, written, options.processes),
        energy=measured.energy,
        robustness=measured.robustness,
        arithmetic=measured.arithmetic,
        environment=measured.environment,
        notes=[
            *measured.notes,
            *filter(None, [split and sentence(split), upload.note]),
            *([in_words(target)] if target else ()),
            *([IN_BFLOAT16] if options.target == "openvino-cpu-bf16" else ()),
        ],
    )


def lineage(
    source: str, recipe: Recipe, options: Options, measured: Comparison, graph: str
) -> dict[str, str]:
    """What an artifact found on a disk a year later says of itself (`winnow.*` in its metadata). What the recipe leaves
    out is the default of that version: a small network has fewer bytes of weights than of defaults."""
    facts = {
        "version": WINNOW,
        "source_sha256": source,
        "graph_sha256": graph,
        "recipe": json.dumps(recipe.model_dump(mode="json", exclude_defaults=True), separators=(",", ":")),
        "seed": str(options.seed),
        "cpu": measured.environment.cpu,
    }
    for entry in measured.latency[:1]:
        facts["speedup"] = _speedup(entry)
        facts["speedup_at"] = f"batch {entry.batch_size}, {entry.threads} thread(s), {entry.provider}"
    for quality in measured.quality:
        facts[quality.metric] = f"{quality.before:.4f} -> {quality.after:.4f} on {quality.samples} samples"
    for parity in measured.parity:
        if parity.cosine is not None:
            facts[f"cosine.{parity.output}"] = (
                f"{parity.cosine:.6f} on {parity.samples} {parity.data} samples"
            )
    return facts


def _speedup(latency: Latency) -> str:
    if latency.speedup is None or latency.speedup_interval is None:
        return f"not told: {latency.untold}"
    low, high = latency.speedup_interval
    return f"{latency.speedup:.3f} (95%: {low:.3f}-{high:.3f})"


def layers(before: ir.Model, after: ir.Model, shapes: dict[str, list[int]] | None) -> list[LayerReport]:
    """The layers of the original, with what became of each weight; `removed` where a layer is gone."""
    originals = cost.layer_table(before, shapes)
    parts: dict[str, list[cost.LayerCost]] = {layer.name: [] for layer in originals}
    for part in cost.layer_table(after, shapes):
        parts.get(original_layer(part.name, parts), []).append(part)
    return [_layer(layer, parts[layer.name]) for layer in originals]


def _layer(before: cost.LayerCost, after: list[cost.LayerCost]) -> LayerReport:
    """`after`: its parts, of which the last keeps the layer's name; none where it is gone."""
    macs = [part.macs for part in after if part.macs is not None]
    return LayerReport(
        name=before.name,
        op=before.op,
        parameters=pair_of(before.parameters, sum(part.parameters for part in after)),
        macs=_pair(before.macs, sum(macs) if len(macs) == len(after) else None),
        size_bytes=pair_of(before.size_bytes, sum(part.size_bytes for part in after)),
        before_dtype=before.dtype,
        after_dtype=after[-1].dtype if after else "removed",
    )


def _pair(before: int | None, after: int | None) -> Pair | None:
    return None if before is None or after is None else pair_of(before, after)
