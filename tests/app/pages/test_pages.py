"""Pages say what the API says to those who ask for HTML, hold no script or style of their own, and escape all names."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from app.pages.assets import FILES
from app.pages.rendering import POLICY
from tests.app.api.conftest import zipped
from tests.support.facts import dataset_facts
from tests.support.owners import also, ask, served_to
from tests.support.served import Served
from tests.support.shown import HOSTILE, HTML, World, succeeded, world
from winnow.contract.data_uses import ROLES
from winnow.contract.dataset import DatasetInput
from winnow.contract.errors import Refusal
from winnow.contract.requirements import Requirements


class Seen(HTMLParser):
    """Elements with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name))]


@pytest.fixture
def shown(api: Served) -> World:
    return world(api)


def test_pages_are_whole_and_hold_neither_script_nor_style(api: Served, shown: World) -> None:
    for what, path in shown.pages().items():
        answer = api.http.get(path, headers=HTML)
        assert answer.status_code == (404 if path == "/nothing" else 200), (what, answer.text)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        seen = Seen(answer.text)
        assert not [tag for tag, _ in seen.elements if tag == "style"], what
        inline = [
            name for _, attributes in seen.elements for name in attributes if re.match("on|style$", name)
        ]
        assert inline == [], what
        assert [attributes.get("type") for tag, attributes in seen.elements if tag == "script"] == ["module"]
        assert answer.text.rstrip().endswith("</html>"), what


def test_a_page_names_every_module_that_its_script_waits_for(api: Served) -> None:
    """A browser then fetches all of them at once; those that a script asks for later are not among them."""
    seen = Seen(api.http.get("/", headers=HTML).text)
    named = [a["href"] for tag, a in seen.elements if tag == "link" and a.get("rel") == "modulepreload"]
    modules = {str(address).rpartition("/")[2] for address in named}
    text = "".join(FILES[name].decode() for name in ("main.js", *modules))
    assert modules == set(re.findall(r'^import [^;]*"\./(.+?)"', text, re.MULTILINE))
    assert {"live.js", "service.js"} <= modules


def test_every_link_of_a_page_leads_somewhere_and_none_elsewhere(api: Served, shown: World) -> None:
    for path in shown.pages().values():
        seen = Seen(api.http.get(path, headers=HTML).text)
        for address in {*seen.values("href"), *seen.values("src"), *seen.values("action")}:
            assert not re.match("[a-z]+:|/", address), "an absolute address would miss a proxy's path"
            if address.startswith("#"):
                assert address[1:] in seen.values("id")
                continue
            answer = api.http.get(urljoin(f"http://x{path}", address).removeprefix("http://x"), headers=HTML)
            assert answer.status_code < 400, (path, address)


def test_behind_a_path_of_a_proxy_addresses_stay_below_it(api: Served, shown: World) -> None:
    outside = "http://proxy.example/winnow"
    for path in (*shown.pages().values(), "/no%2Fthing"):
        seen = Seen(api.http.get(path, headers=HTML).text)
        root = next(attributes["data-root"] for tag, attributes in seen.elements if tag == "html")
        assert urljoin(outside + path, root) == f"{outside}/"
        assert all(urljoin(outside + path, href).startswith(f"{outside}/") for href in seen.values("href"))


def test_hostile_names_are_text_wherever_they_stand(api: Served) -> None:
    for what, path in world(api, HOSTILE).pages().items():
        text = api.http.get(path, headers=HTML).text
        assert "<img src=x" not in text, what
        assert not Seen(text).values("onerror"), what


def test_a_hostile_name_is_shown(api: Served) -> None:
    """Else the test before would prove nothing."""
    made = world(api, HOSTILE)
    for path in (f"/models/{made.model}", f"/jobs/{made.failed}", f"/jobs/{made.searching}", "/workers"):
        assert "&lt;img src=x onerror=alert(1)&gt;" in api.http.get(path, headers=HTML).text


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/html;q=0", "application/xhtml+xml, */*;q=0.8"]
)
@pytest.mark.parametrize("path", ["/", "/models", "/jobs/job_x", "/nothing"])
def test_who_does_not_ask_for_html_gets_a_problem(api: Served, path: str, accept: str) -> None:
    answer = api.http.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/jobs/job_x", "/v1", "/docs/nothing"])
def test_programs_addresses_answer_problems_to_browsers_too(api: Served, path: str) -> None:
    assert api.http.get(path, headers=HTML).headers["content-type"] == "application/problem+json"


def test_a_problem_is_a_page_with_its_sentence_and_request(api: Served) -> None:
    answer = api.http.get("/jobs/job_x", headers={**HTML, "X-Request-Id": "mine"})
    assert answer.status_code == 404
    assert "There is no job &#39;job_x&#39;" in answer.text
    assert "mine" in answer.text
    assert "limti" in api.http.get("/jobs?limti=3", headers=HTML).text
    assert api.http.post("/jobs", headers=HTML).headers["allow"] == "GET, HEAD, OPTIONS"


def test_lists_have_pages(api: Served, model: str) -> None:
    recipe = {"steps": [{"kind": "float16"}]}
    jobs = [api.http.post("/v1/jobs", json={"model": model, "recipe": recipe}).json()["id"] for _ in range(3)]
    first = api.http.get("/jobs?limit=2", headers=HTML).text
    assert [id in first for id in jobs] == [False, True, True]
    [older] = [href for href in Seen(first).values("href") if "cursor=" in href]
    second = api.http.get(f"/jobs{older}", headers=HTML).text
    assert [id in second for id in jobs] == [True, False, False]
    assert "cursor=" not in second
    of_one = api.http.get("/jobs", params={"model": "a&state=failed"}, headers=HTML).text
    assert "?state=queued&model=a%26state%3Dfailed" in Seen(of_one).values("href")
    assert jobs[0] not in api.http.get("/jobs?state=failed", headers=HTML).text


def test_jobs_that_are_compared_stand_beside_each_other(api: Served, shown: World) -> None:
    """As a form of a browser without scripts sends them, too."""
    for query in (",".join(shown.finished), "&jobs=".join(shown.finished)):
        text = api.http.get(f"/compare?jobs={query}", headers=HTML).text
        assert all(f"jobs/{id}" in text for id in shown.finished)
        assert "4.9 KiB" in text
        assert "5.9 KiB" in text
    assert "2 to 20" in api.http.get(f"/compare?jobs={shown.finished[0]}", headers=HTML).text


def test_a_job_shows_its_trials_its_training_and_its_result(api: Served, shown: World) -> None:
    searching = Seen(api.http.get(f"/jobs/{shown.searching}", headers=HTML).text)
    tones = [it["class"] for tag, it in searching.elements if tag == "circle"]
    assert tones == ["point front", "point front"] * 2, "by size and by speed"
    finished = api.http.get(f"/jobs/{shown.finished[0]}", headers=HTML).text
    assert len([tag for tag, _ in Seen(finished).elements if tag == "polyline"]) == 1
    assert "Use the result" in finished
    assert f"v1/jobs/{shown.finished[0]}/artifact" in finished
    assert "data-follow" not in finished
    assert f'data-follow="{shown.queued}"' in api.http.get(f"/jobs/{shown.queued}", headers=HTML).text


def test_a_report_without_a_page_is_made_into_one_and_its_link_opens_it(api: Served, shown: World) -> None:
    paged, queued = shown.finished[0], shown.queued
    succeeded(api, queued, 7, paged=False)
    first, second = (Seen(api.http.get(f"/jobs/{job}", headers=HTML).text) for job in (paged, queued))
    assert f"../v1/jobs/{paged}/report" in first.values("href")
    assert "render" not in first.values("id")
    assert f"../v1/jobs/{queued}/report" not in second.values("href")
    assert f"POST v1/jobs/{queued}/report/render" in second.values("data-send")


def test_who_may_only_read_is_offered_nothing_that_changes_something(tmp_path: Path) -> None:
    with served_to("ada", tmp_path) as api:
        made = world(api, owner="ada")
        with also(api, "ada", ["read"]) as reader:
            for what, path in made.pages().items():
                text = reader.get(path, headers=HTML).text
                changing = ("data-send", "data-upload", "data-declare", "data-propose")
                assert [name for name in changing if name in text] == [], what
        assert "data-send" in api.http.get(f"/models/{made.model}", headers=HTML).text


def test_a_report_that_cannot_be_read_does_not_hide_the_job(api: Served, shown: World) -> None:
    succeeded(api, shown.queued, 7, verdict={"of": "another version"})
    assert api.http.get(f"/jobs/{shown.queued}", headers=HTML).status_code == 200


def test_who_has_no_key_is_asked_for_one_in_place_of_the_page(tmp_path: Path) -> None:
    with served_to("ada", tmp_path) as api:
        model = api.http.post("/v1/models", content=bytes([8, 10, 0x3A, 4]) + b"grap").json()["id"]
        answer = ask(api, "GET", f"/models/{model}", headers=HTML)
        assert answer.status_code == 401
        assert "data-sign-in" in answer.text
        assert model not in answer.text
        assert api.http.get(f"/models/{model}", headers=HTML).status_code == 200


def test_every_requirement_has_a_field_and_those_that_need_data_say_so(api: Served, model: str) -> None:
    elements = Seen(api.http.get(f"/models/{model}/compress", headers=HTML).text).elements
    inputs = {
        attributes["name"]: attributes for _, attributes in elements if "data-requirement" in attributes
    }
    assert inputs.keys() == Requirements.model_fields.keys() - {"metrics"}
    assert "disabled" in inputs["max_metric_drop"]
    assert "disabled" not in inputs["min_speedup"]


def test_what_needs_data_is_asked_for_where_there_is_data(api: Served, shown: World) -> None:
    pages = shown.pages()
    with_data, without = (
        Seen(api.http.get(pages[what], headers=HTML).text).values("id")
        for what in ("a job to be put together", "a job without data")
    )
    assert [name for name in ("metric", "explain") if name in with_data] == ["metric", "explain"]
    assert not {"metric", "explain"} & {*without}


def offered(api: Served, address: str) -> dict[str, list[tuple[str | None, bool]]]:
    """Of each choice of data: what can be chosen, and whether it is."""
    choices: dict[str, list[tuple[str | None, bool]]] = {}
    name = ""
    for tag, attributes in Seen(api.http.get(address, headers=HTML).text).elements:
        if tag == "select":
            name = attributes.get("name") or ""
        elif tag == "option" and name in ("dataset", *ROLES):
            choices.setdefault(name, []).append((attributes["value"], "selected" in attributes))
    return choices


def test_only_data_that_is_read_for_the_model_is_offered_and_none_is_chosen_by_itself(
    api: Served, model: str
) -> None:
    """The rejected one is the newest: a browser takes the first of a choice where none is marked."""
    ids = [
        str(api.http.post("/v1/datasets", content=zipped({"x.npy": bytes([n])})).json()["id"])
        for n in range(4)
    ]
    fits, other, waits, rejected = ids
    api.inspected(fits, dataset_facts().model_dump())
    grey = {"input": DatasetInput(dtype="float32", shape=[1, 8, 8], array="input")}
    api.inspected(other, dataset_facts(inputs=grey).model_dump())
    problem = Refusal("invalid_declaration", "There is no such array.").problem.model_dump()
    api.finish(rejected, state="rejected", problem=problem)
    page = f"/models/{model}/compress"
    plain = offered(api, page)
    assert plain == {name: [("none", False), (fits, False)] for name in ("dataset", *ROLES)}
    links = " ".join(Seen(api.http.get(page, headers=HTML).text).values("href"))
    assert all(f"dataset={id}" in links for id in (other, waits, rejected))
    for id, more in ((fits, []), (other, [(other, True)]), (waits, [(waits, True)]), (rejected, [])):
        assert offered(api, f"{page}?calibration={id}") == {
            **plain,
            "calibration": [("none", False), (fits, id == fits), *more],
        }
    assert offered(api, f"{page}?dataset={rejected}") == plain


def test_the_only_input_of_data_is_that_of_the_model_whatever_they_are_called(
    api: Served, model: str, dataset: str
) -> None:
    """In every role; two inputs have to have the model's names."""
    own = dataset_facts().inputs["input"]
    pair = {"picture": own, "mask": own}
    ids = {}
    for number, inputs in enumerate(({"picture": own}, pair)):
        sent = api.http.post("/v1/datasets", content=zipped({"x.npy": bytes([number])}))
        ids[len(inputs)] = str(sent.json()["id"])
        api.inspected(ids[len(inputs)], dataset_facts(inputs=inputs).model_dump())
    page, named = f"/models/{model}/compress", {"input": "picture"}
    role = {"dataset": ids[1], "map": named}
    assert sent_data(api, f"{page}?dataset={ids[1]}") == role
    assert sent_data(api, f"{page}?calibration={ids[1]}&evaluation={dataset}") == {
        "calibration": role,
        "evaluation": {"dataset": dataset},
    }
    assert sent_data(api, f"{page}?dataset={ids[2]}") is None
    asked = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "data": role}
    assert api.http.post("/v1/jobs", json=asked).status_code == 202


def sent_data(api: Served, address: str) -> object:
    """What the form of this page sends as its data; None for nothing."""
    elements = Seen(api.http.get(address, headers=HTML).text).elements
    (value,) = [it["value"] for _, it in elements if it.get("name") == "data"] or [None]
    return None if value is None else json.loads(value)


def test_assets_are_kept_for_good_by_their_version(api: Served) -> None:
    seen = Seen(api.http.get("/", headers=HTML).text)
    addresses = [
        f"/{it.removeprefix('./')}" for it in (*seen.values("src"), *seen.values("href")) if "assets" in it
    ]
    assert {address.rpartition(".")[2] for address in addresses} == {"css", "js", "svg"}
    for address in addresses:
        answer = api.http.get(address)
        assert "immutable" in answer.headers["cache-control"]
        assert api.http.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert api.http.get("/assets/older/main.js").headers["cache-control"] == "no-cache"
    assert api.http.get("/assets/older/nothing.js").status_code == 404


def test_scripts_never_make_html_of_text() -> None:
    """The policy forbids it, too: `require-trusted-types-for 'script'; trusted-types 'none'`."""
    scripts = {name: content.decode() for name, content in FILES.items() if name.endswith(".js")}
    assert len(scripts) > 5
    for name, text in scripts.items():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text
        ), name
        assert not re.search(r"https?://", text), name
