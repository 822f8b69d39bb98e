"""Forecasts of sizes and multiply-accumulates, held against the files that the recipes make."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import small_nets
from tests.support.digits import DECLARATION, digits
from tests.support.made_artifacts import RECIPES, forecast_of, inspected_facts, made_artifact
from tests.support.transformers import exported
from winnow.contract.declaration import Declaration
from winnow.contract.model import ModelFacts
from worker.compression.data.source import Source

SIZE_TOLERANCE, MACS_TOLERANCE = 0.1, 0.02
MODELS = Path(__file__).parents[4] / "shared" / "models"
SHARED = ("lenet5-mnist", "dscnn-kws", "vittracker")
"""Small models: a plain one, one of depthwise convolutions, one with attention."""
TELLING = (
    "int8_static",
    "4 bits",
    "palette of 16",
    "95 % zeros",
    "half of the MACs",
    "split",
    "pruned, int8",
)
"""For these models; `make bench-forecast` does all recipes for all."""
PRUNED = ("half of the MACs", "a third of the parameters", "half of the channels, in rounds")
CASES = (
    [("digits", recipe) for recipe in RECIPES]
    + [("transformer", recipe) for recipe in PRUNED]
    + [(model, recipe) for model in SHARED if (MODELS / f"{model}.onnx").is_file() for recipe in TELLING]
)


@cache
def subject(name: str) -> tuple[Path, ModelFacts, Source]:
    """A model, its facts, and random data that it takes."""
    folder = Path(mkdtemp(prefix="forecast-"))
    if name == "digits":
        files = digits(folder)
        model, source = files.model, Source(files.data, DECLARATION, (0, 16))
        return model, inspected_facts(model, folder / "inspection"), source
    model = MODELS / f"{name}.onnx"
    if name == "transformer":
        onnx.save(exported("llama", "torchscript"), model := folder / "transformer.onnx")
    facts = inspected_facts(model, folder / "inspection")
    return model, facts, random_data(facts, folder / "data.npz")


def random_data(facts: ModelFacts, path: Path) -> Source:
    rng = np.random.default_rng(0)
    shapes = {spec.name: [8, *(d for d in spec.shape[1:] if isinstance(d, int))] for spec in facts.inputs}
    np.savez(path, **{name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()})
    return Source(path, Declaration.model_validate({"inputs": {name: {"array": name} for name in shapes}}))


@pytest.mark.parametrize(("model", "recipe"), CASES)
def test_sizes_are_within_a_tenth_and_multiply_accumulates_within_two_percent(
    model: str, recipe: str, tmp_path: Path
) -> None:
    path, facts, source = subject(model)
    forecast = forecast_of(facts, RECIPES[recipe])
    made = made_artifact(path, RECIPES[recipe], source, tmp_path / "scratch")
    assert forecast.basis == "computed"
    assert forecast.size_bytes == pytest.approx(made.size_bytes, rel=SIZE_TOLERANCE)
    if forecast.macs is not None and made.changed:
        assert forecast.macs == pytest.approx(made.macs, rel=MACS_TOLERANCE)


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "int8"},
        {"kind": "mixed_precision", "max_size_ratio": 0.3},
        {"kind": "int8_static", "exclude": "auto"},
        {"kind": "channel_pruning", "target": "latency"},
        {"kind": "channel_pruning", "scope": "global"},
        {"kind": "low_rank"},
        {"kind": "low_rank", "rank": "energy"},
        {"kind": "vocabulary_pruning"},
    ],
)
def test_what_is_chosen_by_measuring_is_not_told_nor_what_follows_it(step: dict[str, object]) -> None:
    _, facts, _ = subject("digits")
    alone, behind = forecast_of(facts, [step]), forecast_of(facts, [step, {"kind": "float16"}])
    assert [(f.basis, f.size_bytes) for f in (alone, behind)] == [("measured only", None)] * 2


def test_multiply_accumulates_are_told_where_they_are_the_target() -> None:
    """Half of the MACs of all layers that have a split: digits has three."""
    _, facts, _ = subject("digits")
    assert facts.macs is not None
    assert forecast_of(facts, [{"kind": "low_rank", "amount": 0.5}]).macs == pytest.approx(0.5 * facts.macs)


def test_layers_that_a_pattern_excludes_stay_as_they_are() -> None:
    _, facts, _ = subject("digits")
    whole = forecast_of(facts, [{"kind": "float16"}]).size_bytes
    without = forecast_of(facts, [{"kind": "float16", "exclude": ["fc"]}]).size_bytes
    fc = next(layer for layer in facts.layers if layer.name == "fc")
    assert fc.weight is not None
    assert whole is not None
    assert without == pytest.approx(whole + 2 * np.prod(fc.weight), rel=0.02)


@pytest.mark.parametrize("settings", [{"heads": "inside"}, {"embedding_width": True}])
def test_what_other_groups_than_those_of_the_facts_would_give_is_not_told(
    settings: dict[str, object],
) -> None:
    _, facts, _ = subject("transformer")
    step = {"kind": "channel_pruning", "amount": 0.5}
    assert forecast_of(facts, [step]).basis == "computed"
    assert forecast_of(facts, [{**step, **settings}]).basis == "measured only"


def test_groups_of_an_excluded_layer_are_not_cut() -> None:
    _, facts, _ = subject("digits")
    step = {"kind": "channel_pruning", "target": "channels", "amount": 0.5}
    cut = forecast_of(facts, [{**step, "exclude": ["conv1", "conv2"]}])
    assert cut.macs == facts.macs
    assert forecast_of(facts, [step]).macs != facts.macs


def words_and_product(head: str) -> ir.Model:
    """A table of words, its head where there is one, and a product."""
    rng = np.random.default_rng(0)
    weights = {"words": rng.normal(size=(1000, 256)), "m": rng.normal(size=(256, 256))}
    return small_nets.model(
        f"""(int64[N,L] ids) => (float[N,L,{1000 if head else 256}] y) {{
            w = Gather (words, ids)
            {"x = MatMul (w, m)" if head else "y = MatMul (w, m)"}
            {head}
        }}""",
        {name: array.astype(np.float32) for name, array in weights.items()},
    )


def test_a_table_counts_among_what_is_factorised(tmp_path: Path) -> None:
    """Where a head is tied to it, its readers share what the facts do not say, and nothing is told."""
    steps = [{"kind": "low_rank", "rank": "parameters", "amount": 0.5}]
    path, facts = inspected(words_and_product(""), tmp_path)
    np.savez(tmp_path / "data.npz", ids=np.arange(1000).reshape(20, 50) * 7 % 1000)
    made = made_artifact(path, steps, Source(tmp_path / "data.npz"), tmp_path / "scratch")
    assert forecast_of(facts, steps).size_bytes == pytest.approx(made.size_bytes, rel=SIZE_TOLERANCE)
    assert made.size_bytes < 0.6 * path.stat().st_size
    (tmp_path / "tied").mkdir()
    _, tied = inspected(
        words_and_product("t = Transpose <perm=[1, 0]> (words)\n y = MatMul (x, t)"), tmp_path / "tied"
    )
    assert forecast_of(tied, steps).size_bytes is None


@pytest.mark.parametrize("head", ["words", "h"])
@pytest.mark.parametrize("bits", [{"head_bits": 8}, {"embedding_bits": 8, "head_bits": 2}])
def test_tables_and_heads_count_with_bits_of_their_own(
    head: str, bits: dict[str, int], tmp_path: Path
) -> None:
    """A head that is the table has the more bits of both."""
    rng = np.random.default_rng(0)
    weights = {"words": rng.normal(size=(1000, 256)), "m": rng.normal(size=(256, 256))}
    weights |= {} if head in weights else {head: rng.normal(size=(1000, 256))}
    net = small_nets.model(
        f"""(int64[N] ids) => (float[N,1000] y) {{
            w = Gather (words, ids)
            x = MatMul (w, m)
            y = Gemm <transB=1> (x, {head})
        }}""",
        {name: array.astype(np.float32) for name, array in weights.items()},
    )
    steps = [{"kind": "weight_only", "method": "rtn", **bits}]
    path, facts = inspected(net, tmp_path)
    np.savez(tmp_path / "data.npz", ids=np.arange(1000))
    made = made_artifact(path, steps, Source(tmp_path / "data.npz"), tmp_path / "scratch")
    forecast = forecast_of(facts, steps)
    assert forecast.basis == "computed"
    assert forecast.size_bytes == pytest.approx(made.size_bytes, rel=SIZE_TOLERANCE)
    plain = forecast_of(facts, [{"kind": "weight_only", "method": "rtn"}]).size_bytes
    assert forecast.size_bytes != pytest.approx(plain, rel=SIZE_TOLERANCE)


def test_heads_of_a_model_that_an_earlier_version_inspected_are_not_told() -> None:
    _, facts, _ = subject("digits")
    assert facts.stored is not None
    weights = [weight.model_copy(update={"head": None}) for weight in facts.stored.weights]
    old = facts.model_copy(update={"stored": facts.stored.model_copy(update={"weights": weights})})
    step = {"kind": "weight_only", "head_bits": 8}
    assert forecast_of(old, [step]).basis == "measured only"
    assert forecast_of(old, [{**step, "head_bits": None}]).basis == "computed"


@pytest.mark.parametrize(
    ("head", "told"), [("", True), ("t = Transpose <perm=[1, 0]> (words)\n y = MatMul (x, t)", False)]
)
def test_multiply_accumulates_stay_where_words_go_unless_a_head_goes_with_them(
    tmp_path: Path, head: str, told: bool
) -> None:
    _, facts = inspected(words_and_product(head), tmp_path)
    forecast = forecast_of(facts, [{"kind": "vocabulary_pruning"}])
    assert (forecast.basis, forecast.macs) == ("measured only", facts.macs if told else None)


def inspected(net: ir.Model, folder: Path) -> tuple[Path, ModelFacts]:
    onnx.save(ir.to_proto(net), folder / "net.onnx")
    return folder / "net.onnx", inspected_facts(folder / "net.onnx", folder / "inspection")
