import pytest

from winnow.contract import units


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.size(0), "0 B"),
        (units.size(1023), "1023 B"),
        (units.size(1536), "1.5 KiB"),
        (units.size(5 * 2**40), "5.0 TiB"),
        (units.size(5000 * 2**40), "5000.0 TiB"),
        (units.milliseconds(0.0123), "0.0123 ms"),
        (units.milliseconds(0.123), "0.123 ms"),
        (units.milliseconds(4.567), "4.57 ms"),
        (units.milliseconds(45.67), "45.7 ms"),
        (units.milliseconds(1234.5), "1,234 ms"),
        (units.rate(62840.4), "62,840 /s"),
        (units.rate(9.567), "9.57 /s"),
        (units.number(0.01), "0.01"),
        (units.compared(0.9999927, 1.0), "0.99999"),
        (units.compared(1.0, 1.0), "1"),
        (units.compared(None, 1.0), "-"),
        (units.compared(0.5, 0.9, (0.4, 0.6)), "0.5 [0.4, 0.6]"),
        (units.asked_and_measured("max_size_bytes", 1e6, 1234567.0), ("1,000,000", "1,234,567")),
        (units.asked_and_measured("min_cosine", 1.0, 0.9999927), ("1", "0.99999")),
        (units.asked_and_measured("min_speedup", 2.0, None), ("2", "-")),
        (units.change("top1", 0.005, (0.001, 0.009)), "worse by 0.50 % [0.10, 0.90]"),
        (units.change("top1", -0.005, (-0.009, 0.001)), "better by 0.50 % [-0.10, 0.90]"),
        (units.times(None), "-"),
        (units.times(2.0, (1.9, 2.1)), "2.00× [1.90, 2.10]"),
        (units.metric("top1", 0.885), "88.50 %"),
        (units.metric("mse", 0.00123, (0.001, 0.002)), "0.00123 [0.001, 0.002]"),
        (units.count(None), "-"),
        (units.count(1234567), "1,234,567"),
        (units.duration(75), "1:15"),
        (units.duration(3725), "1:02:05"),
    ],
)
def test_numbers_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected
