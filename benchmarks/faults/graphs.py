"""Graphs that came out wrong: every operator × version × attributes through a raised opset; signatures; odd uploads."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from benchmarks.parts import Row
from tests.support import opset_cases, unusual
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import lower_opset, raise_opset
from worker.compression.options import Options
from worker.compression.pipeline import compress

UNUSUAL = "tests/worker/compression/test_unusual_models.py"
VERSIONS = "tests/worker/compression/graph/opset/test_versions.py"
HELD = {
    "an opset step keeps what Resize-10 and Upsample mean": f"{VERSIONS}::test_resize_of_opset_10_keeps_its_meaning",
    "an opset step keeps what else the converter changes": (
        f"{VERSIONS}::test_what_the_converter_gets_wrong_keeps_its_meaning"
    ),
    "a Pad that reflects, with a value": f"{VERSIONS}::test_a_pad_that_reflects_forgets_its_value",
    "inside a branch, and for open sizes": f"{VERSIONS}::test_it_holds_inside_a_branch_too_and_for_open_sizes",
    "any operator, version, attributes, opset; and back": f"{VERSIONS}::test_a_raised_opset_computes_the_same",
    "what has no way up is refused": f"{VERSIONS}::test_what_cannot_be_raised_is_refused_with_the_node",
    "a rank-0 input": f"{UNUSUAL}::test_one_number_a_row_is_an_input_of_rank_0",
    "the batch's axis": f"{UNUSUAL}::test_the_batch_is_found_in_the_graph",
    "time-major recurrent networks": f"{UNUSUAL}::test_time_major_networks_never_mix_samples",
    "an output without a batch": f"{UNUSUAL}::test_a_table_that_is_no_batch_is_one_sample_each",
    "node names that occur twice": f"{UNUSUAL}::test_names_that_occur_twice_are_refused_before_any_work",
    "signature and doc_string": f"{UNUSUAL}::test_inputs_and_outputs_keep_their_signature_and_the_model_its_text",
    "a batch of -1 or 0": f"{UNUSUAL}::test_a_model_whose_batch_is_no_size_is_compressed",
    "maps, sequences, optionals, strings": f"{UNUSUAL}::test_what_is_no_tensor_of_numbers_is_refused",
}
TARGETS = (11, 13, 18, 21)
"""The opsets that techniques ask for."""
MOST_ERROR = 1e-5
NOT_COMPARED = {
    "Bernoulli": "random", "Multinomial": "random", "RandomNormal": "random", "RandomNormalLike": "random",
    "RandomUniform": "random", "RandomUniformLike": "random", "Optional": "no tensor",
    "OptionalGetElement": "no tensor", "OptionalHasElement": "no tensor",
}  # fmt: skip
STEPS: list[dict[str, Any]] = [
    {"kind": "int8"},
    {"kind": "int8_static"},
    {"kind": "int8_static", "weight_bits": 4},
    {"kind": "int8_dynamic"},
    {"kind": "weight_only", "bits": 4},
    {"kind": "weight_only", "bits": 3},
    {"kind": "palette"},
    {"kind": "binary"},
    {"kind": "float16"},
    {"kind": "bfloat16"},
    {"kind": "sparsity", "sparsity": 0.5},
    {"kind": "low_rank"},
    {"kind": "mixed_precision", "max_size_ratio": 0.5},
    {"kind": "channel_pruning"},
    {"kind": "finetune", "epochs": 1, "batch_size": 4},
    {"kind": "distillation", "epochs": 1, "batch_size": 4},
    {"kind": "quantization_aware_training", "epochs": 1, "batch_size": 4},
]


def rows(folder: Path) -> Iterator[Row]:
    for step in STEPS:
        yield _signature_row(step, folder / "-".join(map(str, step.values())))
    yield from _opset_rows()


def _signature_row(step: dict[str, Any], folder: Path) -> Row:
    folder.mkdir()
    model, data = unusual.named_sizes(), folder / "data.npz"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 32, 64)
    np.savez(data, x=rng.standard_normal((64, 64)).astype("float32"), labels=labels)
    source, options = Source(data), Options(benchmark=Benchmark(rounds=9))
    before = [{"kind": "int8_static"}] if step["kind"] == "quantization_aware_training" else []
    recipe = Recipe.model_validate({"steps": [*before, step]})
    compress(folder / "model.onnx", recipe, Data(source, source, source), folder, options=options)
    artifact = onnx.load(folder / "artifact.onnx")
    same = _signature(artifact) == _signature(model)
    told = artifact.doc_string == model.doc_string and artifact.graph.doc_string == model.graph.doc_string
    measured = f"signature {'equal' if same else 'changed'}, doc_string {'kept' if told else 'lost'}"
    return Row("graphs", f"signature after {folder.name}", "that of the upload", measured, same and told)


def _signature(model: onnx.ModelProto) -> list[bytes]:
    return [bytes(value.SerializeToString()) for value in (*model.graph.input, *model.graph.output)]


def _opset_rows() -> Iterator[Row]:
    """One row for each operator and version: the worst error over its attributes, inputs and opsets asked for."""
    onnxruntime.set_default_logger_severity(4)
    for operator in opset_cases.operators():
        by_version = defaultdict(list)
        for case in opset_cases.cases(operator):
            by_version[case.opset].append(case)
        assert by_version or operator in NOT_COMPARED, operator
        for opset, cases in by_version.items():
            if opset < TARGETS[-1]:
                yield _opset_row(operator, opset, cases)
    for operator, why in NOT_COMPARED.items():
        yield Row(
            "graphs",
            f"opset: {operator}",
            "named",
            f"not compared: {why}",
            True,
        )


def _opset_row(operator: str, opset: int, cases: list[opset_cases.Case]) -> Row:
    worst, wrong, count, refused, attributes = 0.0, "", 0, 0, set[str]()
    for case in cases:
        if case.answers is None:
            continue
        attributes |= {f"{k}={v}" for k, v in case.attributes.items() if isinstance(v, int | float | str)}
        model = normalise(ir.from_proto(case.model()))
        for target in (t for t in TARGETS if t > opset):
            try:
                raised = raise_opset(model, target)
            except ValueError:
                refused += 1
                continue
            back = [lower_opset(raised.clone(), opset)] if target == TARGETS[-1] else []
            for result in (raised, *back):
                error = opset_cases.error(case.answers, opset_cases.run(ir.to_proto(result), case.feeds))
                count += 1
                if error > worst:
                    worst, wrong = error, f" at {case.name} → {target}"
    measured = f"worst error {worst:.1e}{wrong if worst > MOST_ERROR else ''} in {count} comparisons"
    measured += (
        f", {refused} refused" * bool(refused) + f"; {len(cases)} cases, {len(attributes)} attribute values"
    )
    met = worst <= MOST_ERROR and count + refused > 0
    return Row("graphs", f"opset: {operator}-{opset}", f"at most {MOST_ERROR:g}, or refused", measured, met)
