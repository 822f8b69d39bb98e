"""Keys and sessions: what is kept of them, and who is let in by what."""

import pytest

from app.access.keys import caller_by_key, caller_by_session, key_for, new_key, new_session
from app.storage.memory import MemoryRecords
from app.storage.ports import Conflict
from app.storage.records import Key
from winnow.contract.errors import Refusal

NOW = 1_000_000.0


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


def kept(records: MemoryRecords, **fields: float) -> tuple[Key, str]:
    key, text = new_key("ada", "test", ["write", "read"], NOW, fields.get("expires_at"))
    return records.add_key(key), text


def refused_by_key(records: MemoryRecords, text: str, now: float = NOW) -> str:
    with pytest.raises(Refusal) as refused:
        caller_by_key(records, text, now)
    return refused.value.problem.code


def test_nothing_that_is_kept_tells_the_text() -> None:
    key, text = new_key("ada", "test", ["read"], NOW)
    assert len(text.removeprefix("winnow_")) == 43
    assert not any(text.removeprefix("winnow_") in str(value) for value in vars(key).values())
    assert key_for(text, "ada", "test", ["read"], NOW) == key
    assert new_key("ada", "test", ["read"], NOW)[1] != text


def test_a_key_says_whose_request_it_is_and_what_it_may_do(records: MemoryRecords) -> None:
    key, text = kept(records, expires_at=NOW + 5)
    caller = caller_by_key(records, text, NOW)
    assert (caller.owner, caller.scopes, caller.key) == ("ada", {"read", "write"}, key.id)
    assert caller.expires_at == NOW + 5


def test_another_text_opens_nothing(records: MemoryRecords) -> None:
    _, text = kept(records)
    for other in (text[:-1] + "?", text + "x", text[:-1], text.upper(), "", "é"):
        assert refused_by_key(records, other) == "key_unknown"


def test_one_that_only_shares_the_id_opens_nothing(records: MemoryRecords) -> None:
    """The id is the first half of the hash: the rest is compared, too."""
    key, text = new_key("ada", "test", ["read"], NOW)
    records.add_key(Key(**{**vars(key), "sha256": key.sha256[:-1] + ("0" if key.sha256[-1] != "0" else "1")}))
    assert refused_by_key(records, text) == "key_unknown"


def test_a_key_ends_when_its_time_is_over_and_when_it_is_revoked(records: MemoryRecords) -> None:
    key, text = kept(records, expires_at=NOW + 5)
    assert refused_by_key(records, text, NOW + 5) == "key_expired"
    records.revoke_key(key.id, NOW)
    assert refused_by_key(records, text) == "key_revoked"


def test_its_last_use_is_written_once_a_minute(
    records: MemoryRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = kept(records)
    written: list[float] = []
    monkeypatch.setattr(
        records,
        "key_used",
        lambda id, now, since: (written.append(now), MemoryRecords.key_used(records, id, now, since)),
    )
    for after in (0, 1, 59, 60, 61, 130):
        caller_by_key(records, text, NOW + after)
    assert written == [NOW, NOW + 60, NOW + 130]


def test_a_use_that_cannot_be_kept_costs_no_answer(
    records: MemoryRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("read-only")

    _, text = kept(records)
    monkeypatch.setattr(records, "key_used", fail)
    assert caller_by_key(records, text, NOW).owner == "ada"


def test_a_session_opens_what_its_key_does_until_one_of_both_ends(records: MemoryRecords) -> None:
    key, text = kept(records, expires_at=NOW + 50)
    caller = caller_by_key(records, text, NOW)
    session, cookie = new_session(caller, NOW, 100.0)
    assert session.expires_at == NOW + 50, "no longer than the key"
    records.add_session(session)
    inside = caller_by_session(records, cookie, NOW + 1)
    assert (inside.owner, inside.scopes, inside.key, inside.session) == (
        "ada",
        caller.scopes,
        key.id,
        session.id,
    )
    for text, now in [(cookie + "x", NOW + 1), ("", NOW + 1), (cookie, NOW + 50)]:
        with pytest.raises(Refusal, match="session_ended"):
            caller_by_session(records, text, now)
    records.revoke_key(key.id, NOW + 2)
    with pytest.raises(Refusal, match="session_ended"):
        caller_by_session(records, cookie, NOW + 3)


def test_a_scope_that_is_lacking_is_named(records: MemoryRecords) -> None:
    caller = caller_by_key(records, kept(records)[1], NOW)
    caller.check_may("write")
    with pytest.raises(Refusal, match=r"scope admin; .* are: read, write"):
        caller.check_may("admin")


def test_the_only_admin_key_is_not_given_up(records: MemoryRecords) -> None:
    key, _ = new_key("ada", "test", ["admin"], NOW)
    records.add_key(key)
    with pytest.raises(Conflict):
        records.revoke_key(key.id, NOW)
