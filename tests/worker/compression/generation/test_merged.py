"""A merged decoder, both branches of an If: its loop gives what the pair of decoders gives, and both are calibrated."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest

from tests.support import merged_decoder as nets
from tests.support.in_process import InProcess
from tests.support.packages import Models, unpacked, zipped
from winnow.contract.declaration import Declaration
from winnow.contract.generate import Generate
from winnow.contract.generation_plan import plan_of
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.generation.loop import Feeds, Loop
from worker.compression.generation.measured import agreement
from worker.compression.graph.facts.facts import inputs_of, outputs_of
from worker.compression.measure.extent import Extent
from worker.compression.onnx_files.model_files import load
from worker.compression.options import Options
from worker.compression.packages.facts import graphs_of
from worker.compression.packages.merge import MIN_SHARED_BYTES
from worker.compression.pipeline import compress
from worker.compression.upload.inspection import open_file

MERGED: Final = "decoder_model_merged"
SOURCES: Final = np.random.default_rng(0).integers(3, nets.WORDS, (24, 5))


def generate(first: str, then: str) -> Generate:
    feeds = {"encoder.last_hidden_state": f"{first}.encoder_hidden_states"}
    return Generate(start_token=1, end_token=2, max_tokens=8, first=first, then=then, feeds=feeds)


PAIR, ONE = generate("decoder", "decoder_with_past"), generate(MERGED, MERGED)


def loop(archive: Path, asked: Generate, scratch: Path) -> Loop:
    scratch.mkdir()
    opened = open_file(archive, scratch, max_unpacked_bytes=2**30)
    assert opened.package is not None
    whole = load(opened.path)
    graphs = graphs_of(opened.package, inputs_of(whole), outputs_of(whole), ())
    files = {graph.name: graph.path for graph in opened.package.graphs}
    return Loop.opened(plan_of(asked, graphs), files, asked.start_token, 1, "the original")


def answers(models: Models, asked: Generate, folder: Path) -> list[list[int]]:
    made = loop(zipped(folder / f"{asked.first}.zip", models), asked, folder / asked.first)
    return [made.tokens({"encoder:input_ids": row[None]}, 8, None) for row in SOURCES]


@pytest.mark.parametrize("masked", [False, True])
def test_the_merged_decoder_says_what_the_pair_does(masked: bool, tmp_path: Path) -> None:
    pair = answers(nets.pair(masked=masked), PAIR, tmp_path)
    assert answers(nets.merged(masked=masked), ONE, tmp_path) == pair
    assert len({tuple(tokens) for tokens in pair}) > len(SOURCES) / 2


def test_its_cache_is_empty_at_first_and_the_encoder_s_stays_as_the_first_run_made_it(
    tmp_path: Path,
) -> None:
    fed: list[Feeds] = []

    def watch(name: str, feeds: Feeds) -> None:
        if name == MERGED:
            fed.append(feeds)

    made = loop(zipped(tmp_path / "m.zip", nets.merged()), ONE, tmp_path / "m")
    made.tokens({"encoder:input_ids": SOURCES[:1]}, 4, None, watch)
    assert [feeds["use_cache_branch"].tolist() for feeds in fed] == [[False], [True], [True], [True]]
    lengths = [
        tuple(feeds[f"past_key_values.{it}"].shape[1] for it in (nets.OWN, nets.CROSS)) for feeds in fed
    ]
    assert lengths == [(0, 0), (1, 5), (2, 5), (3, 5)]
    states = [feeds[f"past_key_values.{nets.CROSS}"] for feeds in fed[1:]]
    assert all(np.array_equal(each, states[0]) for each in states)


def compressed(step: dict[str, Any], models: Models, folder: Path) -> tuple[Report, dict[str, Path]]:
    np.savez(folder / "rows.npz", ids=SOURCES)
    inputs = {"encoder:input_ids": {"array": "ids"}}
    source = Source(folder / "rows.npz", Declaration.model_validate({"inputs": inputs}))
    options = Options(
        benchmark=Benchmark(rounds=9),
        processes=InProcess(),
        judging="trial",
        extent=Extent(times=False, weighs=False),
        generate=ONE,
    )
    archive, recipe = zipped(folder / "m.zip", models), Recipe.model_validate({"steps": [step]})
    data = Data(calibration=source, evaluation=source)
    report = compress(archive, recipe, data, folder / "out", options=options)
    return report, unpacked(folder / "out" / "artifact.onnx", folder / "after")


@pytest.mark.parametrize(
    ("step", "masked"),
    [
        ({"kind": "int8_static"}, False),
        ({"kind": "int8_static"}, True),
        ({"kind": "int8_dynamic"}, False),
        ({"kind": "weight_only", "method": "gptq"}, True),
        ({"kind": "mixed_precision", "min_snr_db": 25}, True),
    ],
)
def test_layers_of_both_branches_are_compressed_and_share_what_they_read(
    step: dict[str, Any], masked: bool, tmp_path: Path
) -> None:
    """Of a network that is not trained most tokens stay; of its weights nothing is stored twice, and none is rounded
    without data. A mask is longer at each run: 1 number at the first, 5 at the one that is kept of the later ones."""
    models = nets.merged(masked=masked)
    report, files = compressed(step, models, tmp_path)
    rows = {row["name"].partition(":")[2]: row["quantized"] for row in report.steps[0].details["layers"]}
    assert not [note for note in report.steps[0].notes if "without data" in note]
    assert all(rows[f"{branch}_{layer}"] for branch in ("new", "cached") for layer in ("key", "head"))
    assert rows["new_cross"]
    for graph in _branches(onnx.load(str(files[f"{MERGED}.onnx"])).graph):
        assert not [tensor.name for tensor in graph.initializer if len(tensor.raw_data) >= MIN_SHARED_BYTES]
    before = answers(models, ONE, tmp_path)
    made = loop(tmp_path / "out" / "artifact.onnx", ONE, tmp_path / "made")
    after = [made.tokens({"encoder:input_ids": row[None]}, 8, None) for row in SOURCES]
    assert agreement(before, after) > 0.6


def _branches(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    (choice,) = (node for node in graph.node if node.op_type == "If")
    return [attribute.g for attribute in choice.attribute]
