"""Bits of embedding tables and output heads beside those of other weights, and tables that a head reads too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir import external_data

from tests.support.small_nets import model, run, samples, snr_db
from winnow.contract.recipe import WeightOnly
from worker.compression.graph.nodes.output_heads import output_heads
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.values import tensor_of
from worker.compression.progress import Silent
from worker.compression.quantization.weight_only import weight_only
from worker.compression.steps.context import Context, StepResult

WORDS, WIDTH = 512, 64
TEXT = """(float[N,{0}] x, int64[N] ids) => (float[N,{1}] y) {{
    [embedding] e = Gather (table, ids)
    h = Add (x, e)
    [inner] a = MatMul (h, w)
    t = Tanh (a)
    [head] z = Gemm <transB=1> (t, {2})
    y = Softmax (z)
}}"""


def language_net(*, tied: bool) -> ir.Model:
    rng = np.random.default_rng(0)
    weights = {"table": rng.standard_normal((WORDS, WIDTH)), "w": rng.standard_normal((WIDTH, WIDTH)) / 8}
    if not tied:
        weights["out"] = rng.standard_normal((WORDS, WIDTH))
    text = TEXT.format(WIDTH, WORDS, "table" if tied else "out")
    return model(text, {name: array.astype(np.float32) for name, array in weights.items()})


FEED = {
    "x": np.random.default_rng(1).standard_normal((9, WIDTH)).astype(np.float32),
    "ids": np.arange(9, dtype=np.int64) * 7,
}


def quantize(net: ir.Model, folder: Path, data: Any = None, **step: Any) -> StepResult:
    folder.mkdir(exist_ok=True)
    asked = WeightOnly.model_validate({"kind": "weight_only", **step})
    made = weight_only(net, asked, Context(folder, 0, Silent(), data))
    return replace(made, model=external_data.load_to_model(made.model))


def bits(made: StepResult) -> dict[str, int]:
    return {row["name"]: row["bits"] for row in made.details["layers"] if "bits" in row}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (4, 4, 4)),
        ({"embedding_bits": 8}, (8, 4, 4)),
        ({"head_bits": 8}, (4, 4, 8)),
        ({"bits": 8, "embedding_bits": 4, "head_bits": 2}, (4, 8, 2)),
    ],
)
def test_tables_and_heads_have_bits_of_their_own(
    settings: dict[str, int], expected: tuple[int, ...], tmp_path: Path
) -> None:
    made = quantize(language_net(tied=False), tmp_path, **settings)
    assert bits(made) == dict(zip(("embedding", "inner", "head"), expected, strict=True))


@pytest.mark.parametrize("bits_of_both", [8, 4, 3, 2])
def test_a_table_that_the_head_reads_too_is_stored_once(bits_of_both: int, tmp_path: Path) -> None:
    """Both answer as the same rounding of two tables does; the file has the codes once, also in its normal form."""
    settings = {"embedding_bits": bits_of_both, "head_bits": bits_of_both, "symmetric": bits_of_both == 4}
    made = quantize(language_net(tied=True), tmp_path / "one", **settings)
    two = language_net(tied=False)
    two.graph.initializers["out"].const_value = two.graph.initializers["table"].const_value
    apart = quantize(two, tmp_path / "two", **settings)
    normal = normalise(made.model)
    np.testing.assert_allclose(run(normal, FEED, "y"), run(apart.model, FEED, "y"), rtol=1e-4, atol=1e-6)
    rows = {row["name"]: row for row in made.details["layers"]}
    assert rows["embedding"]["stored_as"].startswith("GatherBlockQuantized and MatMulNBits")
    assert rows["head"]["weight_of"] == "embedding"
    stored = sum(tensor_of(value).nbytes for value in normal.graph.initializers.values())
    widths = {8: 1.2, 4: 0.7, 3: 0.6, 2: 0.5}
    assert stored < WORDS * WIDTH * widths[bits_of_both] + WIDTH * WIDTH


def test_tied_weights_get_the_more_bits_of_both(tmp_path: Path) -> None:
    assert bits(quantize(language_net(tied=True), tmp_path, head_bits=8)) == {"embedding": 8, "inner": 4}
    assert bits(quantize(language_net(tied=True), tmp_path, bits=3, embedding_bits=4)) == {
        "embedding": 4,
        "inner": 3,
    }


@pytest.mark.parametrize(
    "settings", [{"layers": "products"}, {"exclude": ["embedding"]}, {"exclude": ["head"]}]
)
def test_where_one_of_both_stays_the_table_stays(settings: dict[str, Any], tmp_path: Path) -> None:
    made = quantize(language_net(tied=True), tmp_path, **settings)
    assert bits(made) == {"inner": 4}
    assert made.model.graph.initializers["table"].dtype == ir.DataType.FLOAT


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_tied_weights_are_rounded_by_data_too(method: str, tmp_path: Path) -> None:
    net = language_net(tied=True)
    expected = run(net, FEED, "y")
    data = samples(tmp_path / "data", net, **FEED)
    made = quantize(net, tmp_path / "made", data, method=method, head_bits=8)
    assert bits(made) == {"embedding": 8, "inner": 4}
    assert snr_db(expected, run(made.model, FEED, "y")) > 10


def test_eight_bits_of_the_head_lose_less_than_four(tmp_path: Path) -> None:
    expected = run(language_net(tied=False), FEED, "y")
    db = [
        snr_db(
            expected, run(quantize(language_net(tied=False), tmp_path / f"{n}", head_bits=n).model, FEED, "y")
        )
        for n in (4, 8)
    ]
    assert db[1] > db[0]


def test_a_head_has_nothing_behind_it_that_mixes() -> None:
    assert {node.name for node in output_heads(language_net(tied=False))} == {"head"}
    pooled = model(
        "(float[N,4,8] x) => (float[N,8] y) { m = MatMul (x, w)\n y = ReduceMean <axes=[1], keepdims=0> (m) }",
        {"w": np.eye(8, dtype=np.float32)},
    )
    assert output_heads(pooled) == set()
