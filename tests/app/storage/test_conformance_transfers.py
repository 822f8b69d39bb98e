"""The port `Transfers`, as every store has to keep it."""

from dataclasses import replace
from typing import Any

import pytest

from app.storage.ids import new_id
from app.storage.ports import Records, TooMany
from app.storage.records import MAX_TRANSFERS, Transfer


def a_transfer(**fields: Any) -> Transfer:
    made: dict[str, Any] = {
        "id": new_id("upl"),
        "kind": "model",
        "length": 2**40,
        "options": {"name": "réseau", "input": ["x:float32[N,3]"]},
        "filename": "net.onnx",
        "metadata": "filename bmV0Lm9ubng=",
        "created_at": 1000.0,
        "expires_at": 1100.0,
    }
    return Transfer(**made | fields)


def added(records: Records, **fields: Any) -> Transfer:
    transfer = a_transfer(**fields)
    records.add_transfer(transfer)
    return transfer


def test_it_comes_back_as_it_was_put_to_its_owner_only(records: Records) -> None:
    transfer = added(records)
    bare = added(records, kind="dataset", filename=None, metadata=None, options={})
    assert records.transfer("local", transfer.id, 1000.0) == transfer
    assert records.transfer("local", bare.id, 1000.0) == bare
    assert records.transfer("somebody", transfer.id, 1000.0) is None
    assert not records.delete_transfer("somebody", transfer.id)
    assert records.delete_transfer("local", transfer.id)
    assert not records.delete_transfer("local", transfer.id)
    assert records.transfer("local", transfer.id, 1000.0) is None


def test_it_lasts_until_it_expires_and_each_part_puts_that_off(records: Records) -> None:
    transfer = added(records)
    assert records.extend_transfer(transfer.id, 1200.0)
    assert records.transfer("local", transfer.id, 1199.0) == replace(transfer, expires_at=1200.0)
    assert records.transfer("local", transfer.id, 1200.0) is None
    assert records.forget_transfers(1199.0) == 0
    assert records.forget_transfers(1200.0) == 1
    assert not records.extend_transfer(transfer.id, 1300.0)


def test_what_it_became_first_is_what_it_became(records: Records) -> None:
    transfer, refused = added(records), added(records)
    records.settle_transfer(transfer.id, "mdl_1", None)
    records.settle_transfer(transfer.id, None, {"code": "invalid_model"})
    records.settle_transfer(refused.id, None, {"code": "invalid_model"})
    records.settle_transfer(refused.id, "mdl_1", None)
    assert records.transfer("local", transfer.id, 1000.0) == replace(transfer, upload="mdl_1")
    assert records.transfer("local", refused.id, 1000.0) == replace(
        refused, problem={"code": "invalid_model"}
    )


def test_one_owner_has_so_many_open_and_no_more(records: Records) -> None:
    mine = [added(records) for _ in range(MAX_TRANSFERS)]
    added(records, owner="somebody")
    with pytest.raises(TooMany):
        added(records)
    records.settle_transfer(mine[0].id, "mdl_1", None)
    added(records)
    with pytest.raises(TooMany):
        added(records)
    added(records, created_at=1100.0, expires_at=1200.0)
