"""The page: what it shows is what was measured, no name makes a tag, and it costs no job anything."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.asked import latency, report
from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits, digits
from tests.support.in_process import InProcess
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.report import ClassQuality, LayerReport, Pair, Report
from worker.compression.data.source import Data, Source
from worker.compression.materials import Materials
from worker.compression.names import Names
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent
from worker.compression.quantization.search import layer_profile
from worker.compression.result.page.looking.moved import _Sides
from worker.compression.result.page.looking.pair import Pair as BothModels
from worker.compression.result.page.looking.timed import timed
from worker.compression.result.page.seen import Confusion, Sample, Seen, Spread, Times
from worker.compression.result.page.subject import Subject
from worker.compression.result.page.write import MAX_BYTES, page_of, write_page
from worker.compression.result.told import CUT_SHORT
from worker.compression.tasks.page_again import JobFiles, page_again
from worker.compression.upload.upload import open_upload

RECIPE = Recipe.model_validate({"steps": [{"kind": "int8_static"}]})
NAMES = Names("digits", "for the phone")
DATA_FIRST = ["verdict", "before-after", "requirements", "layers", "latency"]


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.ids += [value for name, value in attrs if name == "id" and tag == "section" and value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def asked() -> Options:
    require = Requirements(max_metric_drop=0.05, max_size_ratio=0.55)
    return Options(
        Evaluation(metric="top1"), require, Benchmark(rounds=9), processes=InProcess(), page=True, names=NAMES
    )


def rows(files: Digits) -> Data:
    return Data(
        calibration=Source(files.data, DECLARATION, CALIBRATION),
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def made(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    out = tmp_path_factory.mktemp("out")
    return compress(files.model, RECIPE, rows(files), out, options=asked()), out


def test_it_begins_with_what_is_asked_first_and_names_nothing_outside(made: tuple[Report, Path]) -> None:
    told, out = made
    page = (out / "page.html").read_text()
    read = Tags(page)
    assert read.ids[:5] == DATA_FIRST
    assert {"network", "outputs", "histograms", "steps", "environment", "running", "recipe"} <= {*read.ids}
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in read.tags}
    assert not re.search(r"""(?:href|src)=["'](?!#|data:image/png;base64,)""", page)
    assert "http" not in re.sub(r"http-equiv", "", page)
    text = " ".join(" ".join(read.texts).split())
    assert told.verdict.because in text
    assert all(layer.name in text for layer in told.layers)


def test_its_title_and_heading_name_the_model_the_job_and_what_was_done(
    made: tuple[Report, Path], tmp_path: Path
) -> None:
    page = (made[1] / "page.html").read_text()
    assert "<title>digits, for the phone: int8_static – Winnow report</title>" in page
    assert "<h1>digits</h1>" in page
    assert write_page(made[0], made[1] / "artifact.onnx", None, None, tmp_path, Names())
    page = (tmp_path / "page.html").read_text()
    assert "<title>A model, the upload, tidied – Winnow report</title>" in page


def test_the_samples_that_differ_are_those_that_onnxruntime_answers_differently(
    made: tuple[Report, Path], files: Digits
) -> None:
    with np.load(files.data) as archive:
        images = archive["images"][slice(*EVALUATION), None].astype(np.float32) / 16
    answered = [
        ort.InferenceSession(str(model), providers=["CPUExecutionProvider"]).run(None, {"image": images})[0]
        for model in (files.model, made[1] / "artifact.onnx")
    ]
    first, second = (np.asarray(side).argmax(1) for side in answered)
    text = " ".join(Tags((made[1] / "page.html").read_text()).texts)
    assert f"{(first != second).sum()} of {len(images)} samples are answered differently" in text
    assert all(f"row {EVALUATION[0] + n}" in text for n in np.flatnonzero(first != second)[:3])


def test_the_layers_that_moved_most_show_their_weights_and_outputs_before_and_after(
    made: tuple[Report, Path],
) -> None:
    """Also weights that are integers in the result, which a node makes floats of."""
    page = (made[1] / "page.html").read_text()
    numbers = page[page.index('<section id="histograms"') :]
    numbers = numbers[: numbers.index("</section>")]
    for what in ("weights", "outputs"):
        shown = [layer.name for layer in made[0].layers if f"<h3>{layer.name}: {what}</h3>" in numbers]
        assert shown, what
    figures = numbers.count("<figure>")
    assert numbers.count('class="area before"') == numbers.count('class="area after"') == figures >= 2


def test_noise_of_a_layer_is_what_the_formula_says() -> None:
    sides = _Sides()
    sides.add(np.array([3.0, 4.0]), np.array([3.0, 4.5]), 10)
    assert sides.snr_db == pytest.approx(20.0)
    same = _Sides()
    same.add(np.ones(2), np.ones(2), 10)
    assert (same.snr_db, same.same_shape) == (None, True)


def test_an_older_report_is_made_into_the_same_sections(
    made: tuple[Report, Path], files: Digits, tmp_path: Path
) -> None:
    """With the job's model and data; without them what is measured for the page alone is left out, and it says so."""
    out = made[1]
    ids = []
    for name, given_back in (("with", JobFiles(files.model, rows(files), asked())), ("without", None)):
        (folder := tmp_path / name).mkdir()
        page_again(out / "report.json", out / "artifact.onnx", RECIPE, given_back, folder, Silent(), NAMES)
        ids.append(Tags((folder / "page.html").read_text()).ids)
    assert ids[0] == Tags((out / "page.html").read_text()).ids
    assert {*ids[0]} - {*ids[1]} <= {"samples", "histograms", "classes"}
    assert "samples" not in ids[1]
    assert "is gone" in (tmp_path / "without" / "page.html").read_text()


def test_a_page_that_is_made_later_without_fidelity_promises_none(
    made: tuple[Report, Path], tmp_path: Path
) -> None:
    """Its report was cut short, and the data is gone by now."""
    cut_short = CUT_SHORT.told_in(made[0])
    (tmp_path / "report.json").write_text(cut_short.model_dump_json())
    page_again(tmp_path / "report.json", made[1] / "artifact.onnx", RECIPE, None, tmp_path, Silent(), NAMES)
    page = (tmp_path / "page.html").read_text()
    assert "A report page that is made later" not in page
    assert "could not be made up for" in page


class Kept(Silent):
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.said.append((level, message))


def test_a_page_that_cannot_be_made_is_none(made: tuple[Report, Path], tmp_path: Path) -> None:
    assert not write_page(made[0], tmp_path / "no.onnx", RECIPE, None, tmp_path, NAMES)
    assert not (tmp_path / "page.html").exists()


def layer(name: str, after: str = "int8") -> LayerReport:
    pair = Pair(before=400, after=100, ratio=0.25)
    return LayerReport(
        name=name, op="Conv", parameters=pair, macs=pair, size_bytes=pair,
        before_dtype="float32", after_dtype=after,
    )  # fmt: skip


def subject(name: str, artifact: Path) -> Subject:
    """With this name wherever a user's text may come in."""
    base = report()
    quality = [
        entry.model_copy(
            update={"output": name, "per_class": [ClassQuality(number=0, before=0.9, after=0.8)]}
        )
        for entry in base.quality
    ]
    told = base.model_copy(
        update={
            "layers": [layer(name)],
            "quality": quality,
            "notes": [name],
            "latency": [latency(1, 1)],
            "steps": [
                step.model_copy(
                    update={"notes": [name], "details": {"sensitivity": [{"name": name, "snr_db": 9.0}]}}
                )
                for step in base.steps
            ],
        }
    )
    spread = Spread(name, [0.0, 1.0, 2.0], [1.0, 2.0], [2.0, 1.0])
    counts = np.array([[1, 0], [0, 1]])
    seen = Seen(
        times=Times({name: 1.0}, {name: 0.5}),
        snr_db={name: 20.0},
        activations=[spread],
        weights=[spread],
        samples=[Sample(1, name, name, name, 0.5, boxes_before=[(0, 0, 1, 1)])],
        compared=2,
        differing=1,
        confusion=Confusion([name, name], counts, counts[::-1], 2),
        why=[name],
    )
    return Subject(told, artifact, RECIPE, seen=seen, names=Names(name, name))


HOSTILE = st.text(
    st.sampled_from("<>&\"'/=`-!{}% ;abcscriptimg\n\0é\u2028") | st.characters(), min_size=1, max_size=60
)


@pytest.fixture(scope="module")
def plain(made: tuple[Report, Path]) -> Tags:
    return tags_of("plain", made[1])


def tags_of(name: str, folder: Path) -> Tags:
    return Tags(page_of(subject(name, folder / "artifact.onnx")).decode())


@settings(max_examples=40, deadline=None)
@given(name=HOSTILE)
def test_no_name_makes_a_tag(made: tuple[Report, Path], plain: Tags, name: str) -> None:
    assert tags_of(name, made[1]).tags == plain.tags


def test_the_largest_job_has_a_small_page(made: tuple[Report, Path]) -> None:
    """20,000 layers of long names, 64 timings of 5,000 runs, 1,000 classes, and the most pictures there may be."""
    base = subject("x", made[1] / "artifact.onnx")
    timings = [
        latency(batch, threads).model_copy(
            update={"baseline_samples_ms": [0.5] * 5000, "candidate_samples_ms": [0.2] * 5000}
        )
        for batch in range(1, 9)
        for threads in range(1, 9)
    ]
    classes = [ClassQuality(number=n, before=0.9, after=0.5) for n in range(1000)]
    told = base.report.model_copy(
        update={
            "layers": [layer(f"block.{n}.{'attention/' * 20}weight") for n in range(20_000)],
            "latency": timings,
            "quality": [entry.model_copy(update={"per_class": classes}) for entry in base.report.quality],
        }
    )
    picture = "data:image/png;base64," + "A" * 100_000
    samples = [Sample(n, "a", "b", "c", 0.1, picture) for n in range(12)]
    seen = Seen(samples=samples, compared=2000, differing=12)
    assert len(page_of(Subject(told, base.artifact, RECIPE, seen=seen))) < MAX_BYTES


def test_on_a_quiet_machine_every_layer_has_a_time_before_and_after(
    made: tuple[Report, Path], files: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiled = layer_profile._profiled
    monkeypatch.setattr(layer_profile, "_profiled", lambda *of: (profiled(*of)[0], None))
    upload = open_upload(files.model, tmp_path, max_unpacked_bytes=2**30)
    materials = Materials(upload, rows(files), tmp_path, tmp_path / "curves", Silent(), asked())
    pair = BothModels.of(Subject(made[0], made[1] / "artifact.onnx", RECIPE, materials), materials)
    times = timed(pair)["times"]
    assert {*times.before} == {*times.after} == {layer.name for layer in made[0].layers}
    assert all(milliseconds > 0 for side in (times.before, times.after) for milliseconds in side.values())
