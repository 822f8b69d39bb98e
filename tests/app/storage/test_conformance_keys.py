"""The port `Keys`, as every store has to keep it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.storage.ports import Conflict, Records
from app.storage.records import Key, Page, Session

ADMIN = ("read", "write", "admin")


def a_key(number: int = 0, **fields: object) -> Key:
    base = Key(
        id=f"key_{number:026}",
        owner="ada",
        name="réseau 網路",
        scopes=("read", "write"),
        sha256=f"{number:064x}",
        created_at=1000.0 + number,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def a_session(number: int = 0, **fields: object) -> Session:
    base = Session(
        id=f"ses_{number:026}",
        owner="ada",
        scopes=("read",),
        sha256=f"{number:064x}",
        created_at=1000.0,
        expires_at=2000.0,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def test_a_key_comes_back_as_it_was_stored(records: Records) -> None:
    key = a_key(expires_at=5000.0)
    assert records.add_key(key) == key
    assert records.key(key.id) == key
    assert records.key("key_none") is None


def test_the_same_secret_is_the_same_key(records: Records) -> None:
    records.add_key(a_key())
    records.add_key(a_key(1, scopes=ADMIN))
    records.revoke_key(a_key().id, 1001.0)
    again = records.add_key(a_key(name="again"))
    assert (again.name, again.revoked_at) == (a_key().name, 1001.0)


def test_keys_are_listed_from_new_to_old_in_pages(records: Records) -> None:
    keys = [records.add_key(a_key(number)) for number in range(3)]
    first = records.keys(Page(limit=2))
    rest = records.keys(Page(limit=2, after=(first[-1].created_at, first[-1].id)))
    assert [*first, *rest] == keys[::-1]


def test_the_last_use_is_kept_unless_it_is_kept_already(records: Records) -> None:
    key = records.add_key(a_key())

    def last() -> float | None:
        found = records.key(key.id)
        assert found is not None
        return found.last_used_at

    for now, since, kept in [(100.0, 40.0, 100.0), (150.0, 90.0, 100.0), (160.0, 100.0, 160.0)]:
        records.key_used(key.id, now, since)
        assert last() == kept
    records.key_used("key_none", 1.0, 0.0)


def test_a_key_is_revoked_for_good_and_twice_does_no_harm(records: Records) -> None:
    records.add_key(a_key())
    for now in (1001.0, 1002.0):
        revoked = records.revoke_key(a_key().id, now)
        assert revoked == a_key(revoked_at=1001.0) == records.key(a_key().id)
    assert records.revoke_key("key_none", 1003.0) is None


@pytest.mark.parametrize(
    "other", [{"scopes": ("read", "write")}, {"expires_at": 1001.0}, {"revoked_at": 1.0}]
)
def test_the_last_key_that_can_administer_stays(records: Records, other: dict[str, object]) -> None:
    last = records.add_key(a_key(scopes=ADMIN))
    records.add_key(a_key(1, **{"scopes": ADMIN, **other}))
    with pytest.raises(Conflict, match=last.id):
        records.revoke_key(last.id, 1002.0)
    assert records.key(last.id) == last
    records.add_key(a_key(2, scopes=ADMIN))
    assert records.revoke_key(last.id, 1003.0) == replace(last, revoked_at=1003.0)


def test_an_admin_key_that_has_expired_is_not_the_last(records: Records) -> None:
    records.add_key(a_key(scopes=ADMIN, expires_at=1001.0))
    assert records.revoke_key(a_key().id, 1002.0) is not None


def test_of_admin_keys_that_are_revoked_at_once_one_stays(records: Records) -> None:
    keys = [records.add_key(a_key(number, scopes=ADMIN)) for number in range(4)]

    def revoked(key: Key) -> bool:
        try:
            return records.revoke_key(key.id, 2000.0) is not None
        except Conflict:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(revoked, keys)) == 3
    assert [key.revoked_at for key in records.keys(Page())].count(None) == 1


def test_a_session_comes_back_until_it_is_ended(records: Records) -> None:
    key = records.add_key(a_key())
    for session in (a_session(), a_session(1, key=key.id)):
        records.add_session(session)
        assert records.session(session.id) == session
        assert records.end_session(session.id)
        assert records.session(session.id) is None
        assert not records.end_session(session.id)


def test_sessions_that_have_expired_are_forgotten_when_another_begins(records: Records) -> None:
    records.add_session(a_session(0, expires_at=1500.0))
    records.add_session(a_session(1, expires_at=1501.0))
    records.add_session(a_session(2, created_at=1500.0))
    assert [records.session(a_session(n).id) is None for n in range(3)] == [True, False, False]


def test_a_secret_is_made_once(records: Records) -> None:
    with ThreadPoolExecutor(4) as pool:
        told = set(pool.map(lambda n: records.secret("links", f"secret {n}"), range(4)))
    assert told == {records.secret("links", "another")}
    assert records.secret("others", "another") == "another"
