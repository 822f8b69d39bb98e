"""How the artifact is stored: as its weights are, or packed where a step of the recipe made zeros or few values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import AnyStep, Simplify
from winnow.contract.report import StepReport
from worker.compression.onnx_files import model_files
from worker.compression.steps.opset import raised
from worker.compression.weight_storage.drop_defaults import UploadNames
from worker.compression.weight_storage.smallest_form import OPSET, Packing

ZEROS_NOTE: Final = (
    "Zeros do not make ONNX Runtime faster: it multiplies with them as with any number. They make the file smaller; "
    "hardware or a runtime with sparse kernels is needed for more."
)


def write(graph: ir.Model, path: Path, steps: Sequence[AnyStep], upload: UploadNames) -> Packing | None:
    """One `.onnx`, compact, packed when the last step that says so asks for it. Raises `Refusal` `step_failed`."""
    if packs(steps):
        return model_files.save_packed(graph, path, upload)
    model_files.save_single_file(graph, path, upload)
    return None


def with_packing_opset(graph: ir.Model, steps: Sequence[AnyStep]) -> tuple[ir.Model, list[str]]:
    """The model at an opset in which it can be packed, where it is to be, and notes. As it was where it cannot be
    raised: its zeros are then stored like any number."""
    if not packs(steps):
        return graph, []
    try:
        return raised(graph, OPSET, "storing zeros in little space")
    except Refusal as refusal:
        return graph, [f"Zeros are stored like any number. {refusal.problem.detail}"]


def least_opset(steps: Sequence[AnyStep]) -> int:
    """Below which an artifact of these steps does not go: what packing needs, and what a step was asked for; else 1."""
    chosen = [step.opset for step in steps if isinstance(step, Simplify) and step.opset is not None]
    return max(OPSET if packs(steps) else 1, *chosen[-1:], 1)


def packs(steps: Sequence[AnyStep]) -> bool:
    """Whether a step makes zeros or few values; of steps that have a say in the storage the last one decides."""
    wishes = [step.packs for step in steps if step.packs is not None]
    return wishes[-1] if wishes else any(step.makes_zeros for step in steps)


def with_storage_told(
    reports: list[StepReport], steps: Sequence[AnyStep], packing: Packing | None
) -> list[StepReport]:
    """The reports, the last step that makes zeros or few values with how these are stored."""
    indices = [report.index for report in reports]
    last = max((i for i in indices if steps[i].makes_zeros or steps[i].stores_few_values), default=None)
    if last is None:
        return reports
    zeros = any(step.makes_zeros for step in steps)
    return [_with_storage(report, packing, zeros) if report.index == last else report for report in reports]


def _with_storage(report: StepReport, packing: Packing | None, zeros: bool) -> StepReport:
    notes, details = [*report.notes, *([ZEROS_NOTE] if zeros else [])], dict(report.details)
    if packing is not None:
        stored = {
            "dense_bytes": packing.dense_bytes,
            "stored_bytes": packing.stored_bytes,
            "tensors": dict(packing.forms),
        }
        details["storage"] = stored
        notes.insert(len(report.notes), _sizes(packing))
    return report.model_copy(update={"notes": notes, "details": details})


def _sizes(packing: Packing) -> str:
    forms = ", ".join(f"{count} {form}" for form, count in sorted(packing.forms.items()))
    return (
        f"The artifact's weights take {packing.stored_bytes} bytes as stored, {packing.dense_bytes} dense "
        f"(tensors: {forms})."
    )
