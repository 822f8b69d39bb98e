"""Shape expressions: what torch writes is read and written as it was; whatever else comes, sympy sees only grammar."""

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.compression.upload_gate.convert.pt2.schema.expressions import (
    ARGUMENTS,
    POWERS,
    canonical_expression,
)

SYMBOL = "Symbol('s77', positive=True, integer=True)"
WRITTEN = [
    SYMBOL,
    "Symbol('u0', integer=True)",
    "Integer(-3)",
    "Rational(-1, 2)",
    "Float('0.10000000000000001', precision=53)",
    "Float('1e-05', precision=53)",
    "Float('1.', precision=53)",
    "true",
    "oo",
    f"Add(FloorDiv(Add({SYMBOL}, Integer(-3)), Integer(2)), Integer(1))",
    f"Mul(Integer(3), Max(Integer(1), Add({SYMBOL}, Integer(-1))))",
    f"Pow(Add(FloorDiv({SYMBOL}, Integer(2)), Integer(1)), Integer(2))",
    f"Pow({SYMBOL}, Rational(1, 2))",
    f"GreaterThan({SYMBOL}, Integer(0))",
    f"And(StrictLessThan({SYMBOL}, Integer(9)), Not(Equality({SYMBOL}, Integer(4))))",
    f"ModularIndexing({SYMBOL}, Integer(2), Integer(3))",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_what_torch_writes_is_written_as_it_was(text: str) -> None:
    assert canonical_expression(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s77",
        "2*s0 + 1",
        "1",
        "Symbol('s77',integer=True)",
        f"{SYMBOL} ",
        f"{SYMBOL}\n",
        f"\n{SYMBOL}",
        f"{SYMBOL} #",
        "Symbol('s77')(",
        "Symbol('s77').func",
        'Symbol("s77")',
        "Symbol('s7' '7')",
        "Symbol('x')",
        "Symbol('s123456')",
        "Symbol('s١')",
        "Symbol('s0', commutative=False)",
        "Symbol('s0', integer=1)",
        "Symbol('s0', integer=True, integer=True)",
        "Integer('1')",
        "Integer(1.5)",
        "Integer(9223372036854775808)",
        "Integer(١)",
        "Float(1.5, precision=53)",
        "Float('nan', precision=53)",
        "Float('1.5', precision=1000000)",
        "Add()",
        "FloorDiv(Integer(1))",
        "open('x')",
        "sympify(Integer(1))",
        "Function('x')",
        "Lambda(Integer(1))",
        "Ａdd(Integer(1), Integer(2))",
        f"Pow(Integer(2), {SYMBOL})",
        "Pow(Integer(2), Integer(65))",
        "Pow(Pow(Integer(2), Integer(64)), Integer(64))",
        f"LShift(Integer(1), {SYMBOL})",
        "Abs(" * 200 + SYMBOL + ")" * 200,
        "Add(" + "Integer(1), " * 5000 + "Integer(1))",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        canonical_expression(text)


LEAVES = st.sampled_from(
    [text for text in WRITTEN if "," not in text or text.startswith(("Symbol", "Rational"))]
)


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    plain = sorted(set(ARGUMENTS) - POWERS)

    def call(name: str) -> st.SearchStrategy[str]:
        counts = ARGUMENTS[name]
        some = st.lists(inner, min_size=counts[0], max_size=min(counts[-1], 4))
        return some.map(lambda arguments: f"{name}({', '.join(arguments)})")

    powers = st.builds("Pow({}, Integer({}))".format, inner, st.integers(-3, 3))
    return st.sampled_from(plain).flatmap(call) | powers


EXPRESSIONS = st.recursive(LEAVES, calls, max_leaves=8)


@settings(deadline=None)
@given(EXPRESSIONS)
def test_every_sentence_of_the_grammar_is_read_and_stays_as_it_is(text: str) -> None:
    assert canonical_expression(text) == text


LETTERS = re.compile(r"[A-Za-z0-9_', ().=+-]*")
WORDS = {
    *ARGUMENTS,
    "Symbol",
    "Integer",
    "Rational",
    "Float",
    "True",
    "False",
    "true",
    "false",
    "oo",
    "precision",
}
WORDS |= {
    "integer",
    "positive",
    "nonnegative",
    "negative",
    "nonpositive",
    "nonzero",
    "zero",
    "real",
    "finite",
}


def changed(text: str, at: int, put: str, left: int) -> str:
    at %= len(text) + 1
    return text[:at] + put + text[at + left :]


@settings(max_examples=250, deadline=None)
@given(
    st.builds(changed, EXPRESSIONS, st.integers(0, 300), st.text(max_size=6) | LEAVES, st.integers(0, 6))
    | st.text(max_size=60)
)
@example("Symbol(''\n's73') #''', __import__('os'))")
def test_what_comes_out_is_grammar_whatever_goes_in(text: str) -> None:
    try:
        written = canonical_expression(text)
    except ValueError:
        return
    assert written == text
    assert LETTERS.fullmatch(written)
    quoted = re.findall(r"'[^']*'", written)
    assert all(
        re.fullmatch(r"'((s|zf|u|zuf)\d{1,5}|-?[0-9.]+(e[+-]?\d+)?)'", word, re.ASCII) for word in quoted
    )
    words = set(re.findall(r"[A-Za-z_]+", re.sub(r"'[^']*'", "", written)))
    assert words <= WORDS


@pytest.mark.parametrize("text", WRITTEN)
def test_what_sympy_writes_of_it_is_read_as_the_same(text: str) -> None:
    pytest.importorskip("torch")
    import sympy
    from torch.utils._sympy import functions

    known: Any = {name: getattr(functions, name) for name in ARGUMENTS if hasattr(functions, name)}
    known |= {"Max": sympy.Max, "Min": sympy.Min}
    value = sympy.sympify(canonical_expression(text), locals=known)
    written = sympy.srepr(value)
    assert sympy.sympify(canonical_expression(written), locals=known) == value
