"""Hosts have one spelling, and match what the operator listed and nothing else."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.hosts import Authority, is_address, is_allowed, names_of, parse_authority, parse_host, parse_patterns
from app.settings import Settings

LOOPBACK = parse_patterns("localhost, 127.0.0.1, [::1]")
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
addresses = st.ip_addresses()
hosts = names | addresses.map(lambda a: f"[{a}]" if a.version == 6 else str(a))
ports = st.none() | st.integers(0, 65535)


@given(host=hosts, port=ports, upper=st.booleans(), dot=st.booleans())
def test_a_host_is_read_as_it_is_in_either_case_and_with_a_dot_at_its_end(
    host: str, port: int | None, upper: bool, dot: bool
) -> None:
    text = (host.upper() if upper else host) + ("." if dot and "[" not in host else "")
    assert parse_authority(text + ("" if port is None else f":{port}")) == Authority(host, port)


@given(address=st.ip_addresses(v=6))
def test_an_ipv6_address_has_one_spelling(address: IPv6Address) -> None:
    spelled = [f"[{address}]", f"[{address.exploded}]", f"[{address.exploded.upper()}]", str(address)]
    assert {parse_host(text) for text in spelled} == {f"[{address}]"}


@given(text=st.text(max_size=40) | st.text(alphabet="[]:.%@/ \tlocalhst0127", max_size=20))
def test_whatever_is_read_can_be_read_again_and_all_else_is_refused(text: str) -> None:
    try:
        read = parse_authority(text)
    except ValueError:
        return
    assert parse_authority(read.host) == Authority(read.host, None)
    assert not set(read.host) & set("/@ \t\\%?#")
    assert read.host == read.host.lower()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ":",
            ":80",
            ".",
            "..",
            "localhost..",
            "a..b",
            "-",
            "-a",
            "local host",
            "localhost\t",
            "löcal",
        ),
        *("user@localhost", "localhost@evil", "localhost/", "localhost#", "localhost:80:80", "localhost:x"),
        *("localhost:-1", "localhost:65536", "localhost:999999", "http://localhost", "[::1", "::1]", "::1"),
        *(
            "[]",
            "[localhost]",
            "[127.0.0.1]",
            "[::1%eth0]",
            "[::1]x",
            "[[::1]]",
            "localhost,evil",
            "\u0661",
            "a" * 254,
        ),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_authority(text)


@given(host=hosts)
def test_by_default_only_loopback_is_allowed(host: str) -> None:
    assert is_allowed(host, LOOPBACK) == (host in ("localhost", "127.0.0.1", "[::1]"))
    assert is_allowed(host, parse_patterns("*"))


@given(name=names, below=names)
def test_a_star_stands_for_every_name_below_and_not_for_the_name_itself(name: str, below: str) -> None:
    patterns = parse_patterns(f"*.{name.upper()}")
    assert is_allowed(f"{below}.{name}", patterns)
    assert (
        not is_allowed(f"{below}{name}", patterns)
        or below.endswith(".")
        or f"{below}{name}".endswith(f".{name}")
    )
    assert not is_allowed(name, patterns) or name.endswith(f".{name}")


@given(address=addresses)
def test_an_address_is_told_from_a_name(address: IPv4Address | IPv6Address) -> None:
    assert is_address(parse_host(str(address)))


@pytest.mark.parametrize(
    "name", ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01", "1.2.3.4.example"]
)
def test_a_name_that_looks_like_an_address_is_none(name: str) -> None:
    assert not is_address(parse_host(name))
    assert not is_allowed(parse_host(name), LOOPBACK - {"localhost"})


@pytest.mark.parametrize(
    ("bound", "called"),
    [
        *(
            ("0.0.0.0", {"127.0.0.1", "[::1]"}),
            ("::", {"127.0.0.1", "[::1]"}),
            ("192.0.2.7", {"192.0.2.7"}),
            ("2001:DB8::7", {"[2001:db8::7]"}),
        ),
        ("Winnow.example.com", {"winnow.example.com"}),
    ],
)
def test_a_concrete_address_that_is_listened_on_is_a_name(bound: str, called: set[str]) -> None:
    assert names_of(bound) == called
    assert Settings(host=bound, allowed_hosts="a").hosts == {"a", *called}


@pytest.mark.parametrize("text", ["localhost:8000", "http://localhost", "a b", "*.", "a.*", "**", "[::1"])
def test_a_setting_that_names_no_hosts_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValidationError, match="without ports"):
        Settings(allowed_hosts=text)
