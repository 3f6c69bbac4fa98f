"""Numbers as Java writes them: with a DecimalFormat pattern, and a double without one.

A pattern is compiled before there are values, so a wrong one is known early. A subset: text before
and after the digits, grouping, least and most digits, percent and per mille, a pattern of its own
for negative numbers; no exponents and no currencies. Numbers are rounded half even, as there, and
the signs are the locale's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from app.prompts.text_adapters import locales

MAX_PATTERN_LENGTH = 100

_LONGEST_NUMBER = 400
_NUMBER = re.compile(r"([+-]?+(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?+\d++)?+)[dDfF]?+", re.ASCII)
_PATTERN = re.compile(
    r"(?P<prefix>(?:'[^']*+'|[^'#0,.;])*+)"
    r"(?P<whole>[#,]*+[0,]*+)(?P<point>\.(?P<fraction>0*+#*+))?+"
    r"(?P<suffix>(?:'[^']*+'|[^'#0,.;])*+)"
)
_AFFIX_PART = re.compile(r"''|'(?:[^']|'')*+'|[^']")
_SIGNS = {"%": "percentSign", "‰": "perMille", "-": "minusSign"}
_SCALES = {"%": 2, "‰": 3}
_ENOUGH = Context(prec=1_200, rounding=ROUND_HALF_EVEN)  # a double has at most 767 digits


@dataclass(frozen=True, slots=True)
class _Sign:
    """A sign of a pattern, which each locale writes in its own way."""

    source: str


@dataclass(frozen=True, slots=True)
class _Affix:
    """What stands before or after the digits."""

    parts: tuple[str | _Sign, ...]

    def text(self, symbols: Mapping[str, str]) -> str:
        return "".join(
            part if isinstance(part, str) else symbols.get(_SIGNS[part.source], part.source)
            for part in self.parts
        )

    def scale(self) -> int:
        """By which power of ten a number is larger here: two for a percent sign."""
        signs = (part for part in self.parts if isinstance(part, _Sign))
        return max((_SCALES.get(sign.source, 0) for sign in signs), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFormat:
    """A compiled DecimalFormat pattern."""

    locale: str
    positive: tuple[_Affix, _Affix]
    negative: tuple[_Affix, _Affix]
    scale: int
    group: int
    least_whole: int
    least_fraction: int
    most_fraction: int
    always_point: bool

    def format(self, value: Decimal) -> str:
        """The number as the pattern has it."""
        symbols: Mapping[str, str] = locales.locale(self.locale).number_symbols["latn"]
        rounded = abs(value).scaleb(self.scale, _ENOUGH)
        rounded = rounded.quantize(Decimal(1).scaleb(-self.most_fraction), context=_ENOUGH)
        digits = self._digits(f"{rounded:f}", symbols)
        before, after = self.negative if value.is_signed() else self.positive
        return f"{before.text(symbols)}{digits}{after.text(symbols)}"

    def _digits(self, number: str, symbols: Mapping[str, str]) -> str:
        whole, _, fraction = number.partition(".")
        fraction = fraction.rstrip("0").ljust(self.least_fraction, "0")
        whole = whole.lstrip("0").rjust(self.least_whole, "0")
        if not whole and not fraction:
            whole = "0"
        point = symbols["decimal"] if fraction or self.always_point else ""
        return f"{_grouped(whole, self.group, symbols['group'])}{point}{fraction}"


def number_format(pattern: str, *, locale: str = locales.DEFAULT) -> NumberFormat:
    """Compile a pattern. Raises ValueError with a sentence about what is wrong with it."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"it has more than {MAX_PATTERN_LENGTH} characters")
    found = _PATTERN.match(pattern)
    if found is None or not re.search("[#0]", found["whole"] + (found["fraction"] or "")):
        raise ValueError("it has no '#' and no '0' where digits would stand")
    whole, fraction = found["whole"], found["fraction"] or ""
    if whole.endswith(","):
        raise ValueError("a group of digits is empty")
    positive = (_affix(found["prefix"]), _affix(found["suffix"]))
    least_whole, least_fraction = whole.count("0"), fraction.count("0")
    if found["point"] and not least_whole + least_fraction:  # Java then wants one digit
        least_whole, least_fraction = (1, 0) if "#" in whole else (0, 1)
    return NumberFormat(
        locale=locale,
        positive=positive,
        negative=_negative(positive, pattern[found.end() :]),
        scale=max(affix.scale() for affix in positive),
        group=len(whole) - whole.rfind(",") - 1 if "," in whole else 0,
        least_whole=least_whole,
        least_fraction=least_fraction,
        most_fraction=len(fraction),
        always_point=found["point"] is not None and not fraction,
    )


def _negative(positive: tuple[_Affix, _Affix], rest: str) -> tuple[_Affix, _Affix]:
    """What stands around a negative number: a minus in front, unless the pattern says otherwise."""
    found = _PATTERN.fullmatch(rest[1:]) if rest.startswith(";") else None
    if rest and found is None:
        raise ValueError(f"{rest!r} has no place after the digits; put quotes around text")
    if found is not None:
        own = (_affix(found["prefix"]), _affix(found["suffix"]))
        if rest != ";" and own != positive:
            return own
    return _Affix((_Sign("-"), *positive[0].parts)), positive[1]


def _affix(source: str) -> _Affix:
    return _Affix(tuple(_affix_part(found[0]) for found in _AFFIX_PART.finditer(source)))


def _affix_part(written: str) -> str | _Sign:
    if written == "''":
        return "'"
    if written[0] == "'":
        return written[1:-1].replace("''", "'")
    if written == "¤":
        raise ValueError("currencies ('¤') are not supported; write the currency itself")
    return _Sign(written) if written in _SIGNS else written


def _grouped(digits: str, size: int, separator: str) -> str:
    if not size or len(digits) <= size:
        return digits
    first = len(digits) % size
    groups = [digits[start : start + size] for start in range(first, len(digits), size)]
    return separator.join(([digits[:first]] if first else []) + groups)


def as_number(value: Any) -> Decimal | None:
    """A number, or a text that Java's `Double.parseDouble` takes; None for anything else."""
    if isinstance(value, str):
        text = value.strip() if len(value) <= _LONGEST_NUMBER else ""
        found = _NUMBER.fullmatch(text)
        value = float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, int):
        return Decimal(value) if value.bit_length() <= _LONGEST_NUMBER else None
    return Decimal(value) if math.isfinite(value) else None


def spell_double(value: float) -> str:
    """A double without a pattern, as Java prints it: `1500000.0`, `1.23456789E7`, `NaN`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{Decimal(repr(value)):f}" if "e" in repr(value) else repr(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0")
    power = len(digits) + int(exponent) - 1
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"
