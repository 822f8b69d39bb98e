"""The form of a job in a real browser: data by role, a recipe by fields and as text, and all of it without scripts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.api.conftest import ONNX, zipped
from tests.support.facts import dataset_facts, model_facts
from tests.support.served import Served
from winnow.cli.settings import KINDS


@pytest.fixture
def unscripted(browser: Browser) -> Iterator[Page]:
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


@pytest.fixture
def datasets(api: Served) -> dict[str, str]:
    """Name → id, of three that fit the model."""
    made = {}
    for number, name in enumerate(("first", "second", "third")):
        sent = zipped({"x.npy": bytes([number])})
        made[name] = str(api.http.post("/v1/datasets", params={"name": name}, content=sent).json()["id"])
        api.inspected(made[name], dataset_facts().model_dump())
    return made


def started(page: Page, api: Served) -> dict[str, Any]:
    """What the job was asked with that the form starts."""
    page.get_by_role("button", name="Start the job").click()
    page.wait_for_url("**/jobs/job_*")
    job = api.parts.records.job("local", page.url.rpartition("/")[2])
    assert job is not None
    return job.request


def choose_roles(page: Page) -> None:
    page.get_by_text("A dataset for each role").click()
    page.get_by_label("Data for calibration").select_option(label="first (1,024 samples)")
    page.get_by_label("Rows for calibration").fill("0:512")
    page.get_by_label("Data for evaluation").select_option(label="third (1,024 samples)")
    page.get_by_role("button", name="Use these").click()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_job_has_a_dataset_for_each_role(
    page: Page, unscripted: Page, api: Served, model: str, datasets: dict[str, str], scripts: bool
) -> None:
    shown = page if scripts else unscripted
    shown.goto(f"{api.url}/models/{model}/compress")
    choose_roles(shown)
    expect(shown.get_by_label("Data for calibration")).to_have_value(datasets["first"])
    expect(shown.get_by_label("Data for training")).to_have_value("none")
    assert shown.locator(".chosen").count() == 2
    shown.get_by_label("Data for training").select_option(datasets["second"])
    shown.get_by_role("button", name="Use these").click()
    expect(shown.get_by_text("Training: second")).to_be_visible()
    shown.get_by_label("Quality may drop by at most", exact=True).fill("0.01")
    shown.get_by_label("A preset").check()
    shown.get_by_label("small", exact=True).check()
    shown.get_by_text("Where it will run").click()
    shown.get_by_label("It will run on").select_option("openvino-cpu")
    shown.get_by_label("It computes floats in").select_option("bf16")
    for feature in ("avx512_vnni", "avx512_bf16"):
        shown.get_by_label(feature, exact=True).check()
    shown.get_by_label("Samples at once").fill("8")
    asked = started(shown, api)
    assert (asked["target"], asked["benchmark"]["batch_sizes"]) == ("openvino-cpu", [8])
    assert (asked["precision"], asked["target_features"]) == ("bf16", ["avx512_vnni", "avx512_bf16"])
    assert asked["benchmark"]["threads"] == 1
    given = {
        role: (use["dataset"], use["slice"]) for role, use in asked["data"].items() if role in ROLES and use
    }
    wanted = zip(ROLES, datasets.values(), ([0, 512], None, None), strict=True)
    assert {role: (dataset, slice) for role, dataset, slice in wanted} == given
    assert asked["recipe"] == {"preset": "small"}
    assert asked["require"]["max_metric_drop"] == 0.01
    assert asked["evaluation"]["task"] == "auto"


ROLES = ("calibration", "training", "evaluation")


def test_what_is_added_goes_to_the_role_that_it_is_for(
    page: Page, api: Served, model: str, datasets: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "more.npz").write_bytes(zipped({"x.npy": b"more"}))
    page.goto(f"{api.url}/models/{model}/compress?calibration={datasets['first']}&calibration_rows=0:9")
    page.get_by_text("Add data").click()
    expect(page.get_by_label("It is for")).to_have_value("training")
    page.get_by_label("It is for").select_option("evaluation")
    page.get_by_label("Choose data").set_input_files(tmp_path / "more.npz")
    page.wait_for_url("**evaluation=dst_*")
    assert f"calibration={datasets['first']}" in page.url
    assert "calibration_rows=0%3A9" in page.url
    page.get_by_text("Add data").click()
    page.get_by_label("It is for").select_option("dataset")
    (tmp_path / "more.npz").write_bytes(zipped({"x.npy": b"still more"}))
    page.get_by_label("Choose data").set_input_files(tmp_path / "more.npz")
    page.wait_for_url("**dataset=dst_*")
    assert "calibration" not in page.url


def text_of(page: Page) -> Any:
    return json.loads(page.get_by_label("Steps, as JSON").input_value())


def own_recipe(page: Page, api: Served, model: str) -> None:
    page.goto(f"{api.url}/models/{model}/compress")
    page.get_by_label("A recipe of my own").check()
    expect(page.locator(".steps .setting").first).to_be_visible()


def test_fields_write_the_recipe(page: Page, api: Served, model: str) -> None:
    """A number, a choice, a yes or no, a list; from one to another, any of several; another step, and a step inside."""
    own_recipe(page, api, model)
    page.get_by_label("Steps, as JSON").fill('{"steps": []}')
    page.get_by_label("Step", exact=True).select_option("int8_static")
    page.get_by_role("button", name="Add it").click()
    first = page.locator(".steps > li").first
    expect(first.locator("summary")).to_be_focused()
    first.get_by_label("samples", exact=True).fill("256")
    first.get_by_label("percentile: how it is given").select_option("between")
    first.get_by_label("percentile: from").fill("99")
    first.get_by_label("percentile: to").fill("99.9")
    first.get_by_label("calibration", exact=True).select_option(label="entropy")
    first.get_by_label("weight_bits: how it is given").select_option("any_of")
    first.get_by_role("group", name="weight_bits: any of these").get_by_label("4", exact=True).check()
    first.get_by_role("group", name="weight_bits: any of these").get_by_label("8", exact=True).check()
    first.get_by_label("adaround", exact=True).select_option(label="true")
    first.get_by_label("exclude", exact=True).fill("*/head/*\nconv1")
    first.get_by_label("May be left out, too").check()
    step = {
        "kind": "int8_static",
        "samples": 256,
        "percentile": {"between": [99, 99.9]},
        "calibration": "entropy",
        "weight_bits": {"any_of": [8, 4]},
        "adaround": True,
        "exclude": ["*/head/*", "conv1"],
        "optional": True,
    }
    assert text_of(page) == {"steps": [step]}
    page.get_by_label("Step", exact=True).select_option("channel_pruning")
    page.get_by_role("button", name="Add it").click()
    second = page.locator(".steps > li").nth(1)
    second.get_by_label("recovery", exact=True).select_option("finetune")
    second.get_by_label("learning rate", exact=True).fill("0.01")
    pruning = {"kind": "channel_pruning", "recovery": {"kind": "finetune", "learning_rate": 0.01}}
    assert text_of(page) == {"steps": [step, pruning]}
    page.get_by_role("button", name="Earlier: step 2").click()
    assert text_of(page) == {"steps": [pruning, step]}
    page.get_by_role("button", name="Remove: step 1").click()
    assert text_of(page) == {"steps": [step]}
    expect(page.locator("#announcement")).to_have_text("channel_pruning is removed.")


def test_the_text_fills_the_fields_and_loses_nothing_by_them(page: Page, api: Served, model: str) -> None:
    own_recipe(page, api, model)
    step = {
        "kind": "finetune",
        "epochs": {"any_of": [1, 3]},
        "clip_norm": None,
        "gradual": {"structure": "2:4"},
        "precision": {"any_of": ["float32", "bfloat16"]},
        "warmup": "what no field can show",
    }
    page.get_by_label("Steps, as JSON").fill(json.dumps({"steps": [step], "more": 1}))
    fields = page.locator(".steps > li")
    expect(fields.get_by_label("epochs: any of these")).to_have_value("1, 3")
    expect(fields.get_by_label("clip_norm: how it is given")).to_have_value("null")
    expect(fields.get_by_label("structure", exact=True)).to_have_value("2:4")
    expect(fields.get_by_label("warmup", exact=True)).to_be_disabled()
    expect(fields.get_by_role("group", name="precision").get_by_label("bfloat16")).to_be_checked()
    fields.get_by_label("batch size", exact=True).fill("64")
    assert text_of(page) == {"steps": [{**step, "batch_size": 64}], "more": 1}
    fields.get_by_label("batch size", exact=True).fill("")
    assert text_of(page) == {"steps": [step], "more": 1}
    page.get_by_label("Steps, as JSON").fill('{"steps": [{"kind": "int9"}, {')
    expect(page.get_by_text("The text below is no recipe yet.")).to_be_visible()
    page.get_by_label("Steps, as JSON").fill('{"steps": [{"kind": "int9"}]}')
    expect(page.get_by_text("There is no step of the kind int9.")).to_be_visible()


def test_a_recipe_is_written_by_keyboard_alone(page: Page, api: Served, model: str) -> None:
    own_recipe(page, api, model)
    page.get_by_label("Steps, as JSON").fill('{"steps": []}')
    page.get_by_label("Step", exact=True).focus()
    page.keyboard.type("weight_only")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".steps summary")).to_be_focused()
    expect(page.get_by_label("bits: how it is given", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # bits: how it is given
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert text_of(page) == {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]}
    expect(page.get_by_label("Trials at most")).to_be_visible()


def test_every_setting_of_every_step_has_a_field_that_says_what_it_does(
    page: Page, api: Served, model: str
) -> None:
    own_recipe(page, api, model)
    for kind, step in KINDS.items():
        page.get_by_label("Steps, as JSON").fill(json.dumps({"steps": [{"kind": kind}]}))
        settings = {name: field for name, field in step.model_fields.items() if name != "kind"}
        fields = page.locator(f".steps > li:has(summary:text-is('{kind}')) .settings > .setting")
        expect(fields).to_have_count(len(settings))
        for name, text, controls in fields.evaluate_all(TOLD):
            assert (settings[name].description or "").replace("`", "") in " ".join(text.split()), (kind, name)
            assert controls > 0, (kind, name)


TOLD = """all => all.map(it => [
    it.dataset.setting, it.innerText, it.querySelectorAll("input, select, textarea").length
])"""


def test_without_scripts_a_model_is_sent_and_a_job_started_and_refused(
    unscripted: Page, api: Served, tmp_path: Path
) -> None:
    (tmp_path / "net.onnx").write_bytes(ONNX)
    unscripted.goto(api.url)
    unscripted.get_by_label("Choose a model").set_input_files(tmp_path / "net.onnx")
    unscripted.get_by_role("button", name="Upload").click()
    unscripted.wait_for_url("**/models/mdl_*")
    api.inspected(unscripted.url.rpartition("/")[2], model_facts().model_dump())
    unscripted.reload()
    unscripted.get_by_role("link", name="Compress it").click()
    unscripted.get_by_role("link", name="What works without").click()
    expect(unscripted.get_by_role("heading", name="Without scripts")).to_be_visible()
    unscripted.go_back()
    unscripted.get_by_label("A recipe of my own").check()
    unscripted.get_by_label("Steps, as JSON").fill('{"steps": [{"kind": "weight_onli"}]}')
    unscripted.get_by_role("button", name="Start the job").click()
    expect(unscripted.get_by_role("main")).to_contain_text("weight_onli")
    unscripted.go_back()
    unscripted.get_by_label("Steps, as JSON").fill(
        '{"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]}'
    )
    unscripted.get_by_label("Trials at most").fill("2")
    asked = started(unscripted, api)
    assert asked["search"]["budget"]["trials"] == 2
