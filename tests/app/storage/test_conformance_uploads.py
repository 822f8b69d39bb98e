"""The port `Uploads`, as every store has to keep it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.storage.ports import Conflict, InUse, Records
from app.storage.records import Page, Upload
from app.storage.rules import MADE
from tests.support.records import a_job, an_upload

DECLARATION = {"inputs": {"image": {"array": "x", "scale": 0.5, "mean": [0.1, 0.2]}}, "augment": []}


def added(records: Records, upload: Upload) -> Upload:
    stored, new = records.add_upload(upload)
    assert new
    return stored


def test_an_upload_comes_back_as_it_was_stored(records: Records) -> None:
    model = an_upload(
        declaration={"inputs": [{"name": "x", "shape": ["N", 3]}]}, name="réseau 網路", size_bytes=2**40
    )
    assert records.add_upload(model) == (model, True)
    assert records.upload("local", "model", model.id) == model


def test_an_upload_is_seen_by_its_owner_and_as_its_kind_only(records: Records) -> None:
    model = added(records, an_upload())
    assert records.upload("somebody", "model", model.id) is None
    assert records.upload("local", "dataset", model.id) is None
    assert records.upload("local", "model", "mdl_none") is None
    assert records.uploads("somebody", "model", Page()) == []
    assert records.uploads("local", "dataset", Page()) == []
    assert not records.delete_upload("somebody", "model", model.id)
    assert not records.delete_upload("local", "dataset", model.id)
    assert records.upload("local", "model", model.id) is not None


def test_an_id_with_the_prefix_of_another_kind_is_refused(records: Records) -> None:
    with pytest.raises(ValueError, match="mdl_"):
        records.add_upload(an_upload(id="job_1"))
    with pytest.raises(ValueError, match="job_"):
        records.add_job(a_job(id="mdl_1"), None)


def test_the_same_bytes_are_the_same_upload(records: Records) -> None:
    first = added(records, an_upload())
    assert records.add_upload(an_upload(name="another name")) == (first, False)
    assert records.uploads("local", "model", Page()) == [first]


@pytest.mark.parametrize(
    "other",
    [
        an_upload("b" * 64),
        an_upload(owner="somebody"),
        an_upload(kind="dataset"),
        an_upload(format="torchscript"),
        an_upload(declaration={"inputs": []}),
    ],
    ids=["bytes", "owner", "kind", "format", "declaration"],
)
def test_what_differs_in_its_identity_is_another_upload(records: Records, other: Upload) -> None:
    first = added(records, an_upload())
    assert added(records, other).id != first.id


def test_the_order_of_names_in_a_datasets_declaration_means_nothing(records: Records) -> None:
    one = an_upload(kind="dataset", declaration={"inputs": {"a": {"array": "x"}, "b": {"array": "y"}}})
    other = an_upload(kind="dataset", declaration={"inputs": {"b": {"array": "y"}, "a": {"array": "x"}}})
    assert records.add_upload(added(records, one))[1] is False
    assert records.add_upload(other)[0].id == one.id


def test_what_was_rejected_is_inspected_again_under_the_same_id(records: Records) -> None:
    first = added(records, an_upload(max_attempts=1))
    claimed = records.claim(first.id, 1001.0, 30.0)
    assert claimed is not None
    assert records.finish(first.id, 1, 1002.0, {"state": "rejected", "problem": {"code": "invalid_model"}})
    again, new = records.add_upload(an_upload(created_at=2000.0, max_attempts=2))
    assert (again.id, new, again.state, again.problem) == (first.id, True, "inspecting", None)
    assert (again.attempt, again.max_attempts) == (1, 3)
    assert records.claim(first.id, 2001.0, 30.0) is not None


def test_what_was_deleted_is_a_new_upload_when_it_comes_again(records: Records) -> None:
    first = added(records, an_upload())
    assert records.delete_upload("local", "model", first.id)
    assert not records.delete_upload("local", "model", first.id)
    assert records.upload("local", "model", first.id) is None
    assert added(records, an_upload()).id != first.id


def test_uploading_the_same_bytes_at_the_same_time_makes_one_record(records: Records) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(records.add_upload, [an_upload() for _ in range(8)]))
    assert len({upload.id for upload, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1


def test_pages_go_from_new_to_old_and_show_each_once(records: Records) -> None:
    times = [5.0, 3.0, 3.0, 3.0, 1.0]
    stored = [added(records, an_upload(f"{n:064}", created_at=time)) for n, time in enumerate(times)]
    seen: list[Upload] = []
    page = Page(limit=2)
    while shown := records.uploads("local", "model", page):
        seen += shown
        page = replace(page, after=(shown[-1].created_at, shown[-1].id))
    assert seen == sorted(stored, key=lambda upload: (upload.created_at, upload.id), reverse=True)


def test_a_new_declaration_is_inspected_again(records: Records) -> None:
    dataset = added(records, an_upload(kind="dataset"))
    assert records.claim(dataset.id, 1001.0, 30.0)
    assert records.finish(dataset.id, 1, 1002.0, {"state": "ready", "facts": {"samples": 3}})
    declared = records.declare("local", dataset.id, DECLARATION)
    assert declared is not None
    assert (declared.state, declared.facts, declared.declaration) == ("inspecting", None, DECLARATION)
    assert records.upload("local", "dataset", dataset.id) == declared
    assert records.claim(dataset.id, 1003.0, 30.0)
    assert records.add_upload(an_upload(kind="dataset", declaration=DECLARATION))[0].id == dataset.id


def test_a_new_declaration_fences_who_inspects_the_old_one(records: Records) -> None:
    dataset = added(records, an_upload(kind="dataset"))
    assert records.claim(dataset.id, 1001.0, 30.0)
    records.declare("local", dataset.id, DECLARATION)
    assert not records.renew(dataset.id, 1, 1002.0, 30.0)
    assert not records.finish(dataset.id, 1, 1002.0, {"state": "ready"})
    claimed = records.claim(dataset.id, 1002.0, 30.0)
    assert claimed is not None
    assert claimed.attempt == 2


def test_a_declaration_is_fixed_once_a_job_has_used_it(records: Records) -> None:
    model = added(records, an_upload())
    dataset = added(records, an_upload(kind="dataset"))
    job, _ = records.add_job(a_job(model, dataset), None)
    records.cancel_job("local", job.id, 1001.0)
    with pytest.raises(Conflict, match=job.id):
        records.declare("local", dataset.id, DECLARATION)


def test_a_declaration_cannot_make_two_datasets_the_same(records: Records) -> None:
    one = added(records, an_upload(kind="dataset", declaration=DECLARATION))
    other = added(records, an_upload(kind="dataset"))
    with pytest.raises(Conflict, match=one.id):
        records.declare("local", other.id, DECLARATION)
    assert records.declare("local", one.id, DECLARATION) is not None


def test_only_datasets_of_the_owner_are_declared(records: Records) -> None:
    model = added(records, an_upload())
    dataset = added(records, an_upload(kind="dataset"))
    assert records.declare("local", model.id, DECLARATION) is None
    assert records.declare("somebody", dataset.id, DECLARATION) is None
    assert records.declare("local", "dst_none", DECLARATION) is None


def test_an_upload_stays_while_an_unfinished_job_uses_it(records: Records) -> None:
    model, dataset = added(records, an_upload()), added(records, an_upload(kind="dataset"))
    job, _ = records.add_job(a_job(model, dataset), None)
    for upload in (model, dataset):
        with pytest.raises(InUse) as refused:
            records.delete_upload("local", upload.kind, upload.id)
        assert refused.value.jobs == [job.id]
    records.cancel_job("local", job.id, 1001.0)
    assert records.delete_upload("local", "model", model.id)
    assert records.delete_upload("local", "dataset", dataset.id)


def test_every_blob_that_a_record_names_is_live(records: Records) -> None:
    model = added(records, an_upload("a" * 64))
    job, _ = records.add_job(a_job(model), None)
    assert records.live_blobs() == {"a" * 64}
    assert records.claim(model.id, 1.0, 30.0)
    assert records.finish(model.id, 1, 2.0, {"state": "ready", "converted": "b" * 64})
    assert records.claim(job.id, 1.0, 30.0)
    made = {name: letter * 64 for name, letter in zip(MADE, "cdef", strict=True)}
    assert records.finish(job.id, 1, 2.0, {"state": "succeeded", **made})
    assert records.live_blobs() == {letter * 64 for letter in "abcdef"}
    records.delete_job("local", job.id)
    records.delete_upload("local", "model", model.id)
    assert records.live_blobs() == set()


def test_a_reachable_store_answers_a_ping(records: Records) -> None:
    records.ping()
