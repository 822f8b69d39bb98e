"""Shape expressions, as torch's exporter writes them (sympy's `srepr`), read by a grammar and written anew.

    expression = "Symbol('" symbol "'" {", " assumption "=" ("True" | "False")} ")"
               | "Integer(" int ")" | "Rational(" int ", " int ")" | "Float('" number "', precision=" int ")"
               | function "(" expression {", " expression} ")" | "true" | "false" | "oo"

torch gives the text to sympy's `sympify`, which evaluates it. What reaches it is written from what was parsed here.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator

MAX_LENGTH: Final = 10_000
MAX_DEPTH: Final = 100
MAX_EXPONENT: Final = 64
MAX_DEGREE: Final = 1000
"""Bounds how large a number sympy can be made to compute: powers of powers, shifts of shifts."""

TOKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|-?[0-9]{1,20}|'[A-Za-z0-9_.+-]{1,40}'|\(|\)|, |=")
SYMBOL: Final = re.compile(r"'(s|zf|u|zuf)[0-9]{1,5}'")
NUMBER: Final = re.compile(r"'-?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,3})?'")
ASSUMPTIONS: Final = frozenset(
    {"integer", "positive", "nonnegative", "negative", "nonpositive", "nonzero", "zero", "real", "finite"}
)
CONSTANTS: Final = frozenset({"true", "false", "oo"})
POWERS: Final = frozenset({"Pow", "PowByNatural", "FloatPow", "LShift", "RShift"})
MANY: Final = 200
ARGUMENTS: Final[dict[str, range]] = {
    **dict.fromkeys(("Add", "Mul", "Max", "Min", "And", "Or"), range(1, MANY)),
    **dict.fromkeys(("FloorDiv", "PythonMod", "Mod", "CleanDiv", "CeilDiv", *sorted(POWERS)), range(2, 3)),
    **dict.fromkeys(("FloatTrueDiv", "IntTrueDiv", "RoundDecimal"), range(2, 3)),
    **dict.fromkeys(("Equality", "Unequality", "LessThan", "GreaterThan"), range(2, 3)),
    **dict.fromkeys(("StrictLessThan", "StrictGreaterThan"), range(2, 3)),
    **dict.fromkeys(("ModularIndexing", "Where"), range(3, 4)),
    **dict.fromkeys(("Abs", "Not", "floor", "ceiling", "Identity", "ToFloat"), range(1, 2)),
    **dict.fromkeys(("CeilToInt", "FloorToInt", "TruncToInt", "RoundToInt", "TruncToFloat"), range(1, 2)),
}
"""The functions, and how many arguments each takes."""


@dataclass(frozen=True)
class Term:
    """A parsed expression: its canonical text, and a bound on the degree in its symbols; `number` where it is one."""

    text: str
    degree: int = 1
    number: int | None = None


def canonical_expression(text: str) -> str:
    """The expression, written from what was parsed. Raises `ValueError` for anything else."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a shape expression has more than {MAX_LENGTH} characters")
    parser = _Parser(_tokens(text))
    term = parser.expression(0)
    if parser.rest:
        raise ValueError(f"the shape expression {text[:80]!r} goes on behind its end")
    return term.text


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        if not (token := TOKEN.match(text, at)):
            raise ValueError(f"{text[at : at + 40]!r} does not belong into a shape expression")
        tokens.append(token[0])
        at = token.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens; `rest` holds those to come, the next one last."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens[::-1]

    def expression(self, depth: int) -> Term:
        if depth > MAX_DEPTH:
            raise ValueError(f"a shape expression is nested more than {MAX_DEPTH} levels deep")
        name = self._next()
        if name in CONSTANTS:
            return Term(name)
        self._expect("(")
        term = self._inside(name, depth)
        self._expect(")")
        return term

    def _inside(self, name: str, depth: int) -> Term:
        match name:
            case "Symbol":
                return Term(f"Symbol({self._word(SYMBOL)}{self._assumptions()})")
            case "Integer":
                number = self._int()
                return Term(f"Integer({number})", 1, number)
            case "Rational":
                above = self._int()
                self._expect(", ")
                return Term(f"Rational({above}, {self._int()})")
            case "Float":
                return Term(f"Float({self._word(NUMBER)}, precision={self._precision()})")
            case _:
                return _call(name, self._arguments(depth))

    def _arguments(self, depth: int) -> list[Term]:
        terms = [self.expression(depth + 1)]
        while self.rest and self.rest[-1] == ", ":
            self.rest.pop()
            terms.append(self.expression(depth + 1))
        return terms

    def _assumptions(self) -> str:
        """`, positive=True, integer=True`, or nothing."""
        assumptions: dict[str, str] = {}
        while self.rest and self.rest[-1] == ", ":
            self.rest.pop()
            name = self._next()
            self._expect("=")
            value = self._next()
            if name not in ASSUMPTIONS or name in assumptions or value not in ("True", "False"):
                raise ValueError(f"a symbol cannot be {name[:40]}={value[:40]}")
            assumptions[name] = value
        return "".join(f", {name}={value}" for name, value in assumptions.items())

    def _precision(self) -> int:
        self._expect(", ", "precision", "=")
        bits = self._int()
        if not 1 <= bits <= 200:
            raise ValueError(f"a precision of {bits} bits is not known")
        return bits

    def _int(self) -> int:
        number = int(self._next())
        if not -(2**63) <= number < 2**63:
            raise ValueError(f"{number} is no 64-bit integer")
        return number

    def _word(self, kind: re.Pattern[str]) -> str:
        word = self._next()
        if not kind.fullmatch(word):
            raise ValueError(f"{word} is no name of a symbol and no number")
        return word

    def _next(self) -> str:
        if not self.rest:
            raise ValueError("a shape expression ends early")
        return self.rest.pop()

    def _expect(self, *marks: str) -> None:
        for mark in marks:
            if (token := self._next()) != mark:
                raise ValueError(f"a shape expression has {token[:40]!r} where {mark!r} should be")


def _call(name: str, terms: list[Term]) -> Term:
    if name not in ARGUMENTS:
        raise ValueError(f"the function {name[:40]!r} is not known in shape expressions")
    if len(terms) not in ARGUMENTS[name]:
        raise ValueError(f"{name} with {len(terms)} arguments is no shape expression")
    degree = _degree(name, terms)
    if degree > MAX_DEGREE:
        raise ValueError("a shape expression has powers of powers that grow too large")
    return Term(f"{name}({', '.join(term.text for term in terms)})", degree)


def _degree(name: str, terms: list[Term]) -> int:
    if name in POWERS:
        return terms[0].degree * _exponent(terms[1])
    return sum(term.degree for term in terms) if name == "Mul" else max(term.degree for term in terms)


def _exponent(term: Term) -> int:
    """Of a power or shift: a small number that stands there, or a fraction."""
    if term.text.startswith("Rational("):
        return 1
    if term.number is None or abs(term.number) > MAX_EXPONENT:
        raise ValueError(f"{term.text[:40]} is no exponent of at most {MAX_EXPONENT}")
    return max(1, abs(term.number))


Expression = Annotated[str, AfterValidator(canonical_expression)]
