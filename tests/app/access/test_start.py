"""What has to be right before the service listens."""

import logging
from pathlib import Path

import pytest

from app.access.keys import caller_by_key
from app.access.start import CannotStart, check_settings, prepare_keys
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.records import Page

SECRET = "9f8b1c0de74a5263fa1b2c3d4e5f60718293a4b5"


def with_file(folder: Path, content: bytes) -> Settings:
    file = folder / "admin.key"
    file.write_bytes(content)
    return Settings(auth="keys", admin_key_file=file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "winnow.example.com", ""])
def test_without_keys_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(CannotStart, match="WINNOW_AUTH=keys"):
        check_settings(Settings(host=host))
    check_settings(Settings(host=host, auth="keys"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    check_settings(Settings(host=host))


def test_tokens_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.start.find_spec", lambda _: None)
    tokens = Settings(auth="oidc", oidc_issuer="https://id.example.com", oidc_audience="winnow")
    with pytest.raises(CannotStart, match="oidc"):
        check_settings(tokens)


def test_the_key_in_the_file_administers(tmp_path: Path) -> None:
    records, settings = MemoryRecords(), with_file(tmp_path, f"{SECRET}\n".encode())
    for _ in range(2):
        prepare_keys(settings, records)
    caller = caller_by_key(records, SECRET, 1.0)
    assert (caller.owner, caller.scopes) == ("local", {"read", "write", "admin"})
    assert len(records.keys(Page())) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"a" * 64, SECRET.encode() + b" more", b"\xff" * 40]
)
def test_a_file_that_holds_no_such_key_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CannotStart, match=r"WINNOW_ADMIN_KEY_FILE.*openssl"):
        prepare_keys(with_file(tmp_path, content), MemoryRecords())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be read"):
        prepare_keys(Settings(auth="keys", admin_key_file=tmp_path / "none"), MemoryRecords())


def test_a_key_of_the_file_that_was_revoked_stays_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records, settings = MemoryRecords(), with_file(tmp_path, SECRET.encode())
    prepare_keys(settings, records)
    prepare_keys(with_file(tmp_path, SECRET[::-1].encode()), records)
    [*_, first] = records.keys(Page())
    records.revoke_key(first.id, 1.0)
    prepare_keys(with_file(tmp_path, SECRET.encode()), records)
    assert "stays so" in caplog.text


def test_where_nobody_has_a_key_the_operator_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    prepare_keys(Settings(), MemoryRecords())
    assert caplog.text == ""
    prepare_keys(Settings(admin_key_file=Path("nowhere")), MemoryRecords())
    assert "WINNOW_ADMIN_KEY_FILE has no effect" in caplog.text
    prepare_keys(Settings(auth="keys"), MemoryRecords())
    assert "winnow keys create --admin" in caplog.text
