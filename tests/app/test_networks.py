from ipaddress import ip_address

import pytest

from app.networks import may_reach, parse_networks, spelled

PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
NOT_PUBLIC = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "4000::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("2002:7f00:1::", "2002:a00:1::1", "64:ff9b:1::1"),
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_may_be_reached(text: str) -> None:
    assert may_reach(ip_address(text), parse_networks("false"))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_all_others_only_when_everything_may_be(text: str) -> None:
    assert not may_reach(ip_address(text), parse_networks("false"))
    assert may_reach(ip_address(text), parse_networks("true"))


def test_what_is_listed_may_be_reached_and_its_neighbours_not() -> None:
    networks = parse_networks("10.1.0.0/16, fd00:1::/32")
    for text in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "8.8.8.8"):
        assert may_reach(ip_address(text), networks)
    for text in ("10.2.0.1", "fd00:2::1", "127.0.0.1"):
        assert not may_reach(ip_address(text), networks)


@pytest.mark.parametrize("text", ["yes", "10.0.0.0/33", "10.0.0.1/8", "example.com"])
def test_what_is_no_network_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        parse_networks(text)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("app.localhost", "127.0.0.1"),
        ("hooks.example.com", None),
    ],
)
def test_a_host_that_spells_an_address_is_read_as_the_system_reads_it(host: str, address: str | None) -> None:
    assert spelled(host) == (address and ip_address(address))
