"""Dates and numbers come out as Java's own formatters write them: the tables are what Java says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from babel import localedata
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.text_adapters import locales
from app.prompts.text_adapters.java_dates import as_date, date_format, spell_date
from app.prompts.text_adapters.java_numbers import as_number, number_format, spell_double

BERLIN = timezone(timedelta(hours=2))
APRIL = datetime(2014, 4, 27, 13, 5, 7, 45_000, BERLIN)
JANUARY = datetime(2021, 1, 3, tzinfo=BERLIN)
DECEMBER = datetime(2024, 12, 31, 12, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("pattern", "locale", "expected"),
    [
        ("EEEE, d. MMMM yyyy", "de", "Sonntag, 27. April 2014"),
        ("EEEE, d. MMMM yyyy", "de_DE", "Sonntag, 27. April 2014"),
        ("EEEE, d. MMMM yyyy", "en_EN", "Sunday, 27. April 2014"),
        ("EEE, MMM d, yyyy", "en_US", "Sun, Apr 27, 2014"),
        ("EEE, MMM d, yyyy", "de-DE", "So., Apr. 27, 2014"),
        ("y yy yyy yyyy yyyyy", "de", "2014 14 2014 2014 02014"),
        ("M MM MMM MMMM MMMMM", "de", "4 04 Apr. April April"),
        ("L LL LLL LLLL LLLLL", "de", "4 04 Apr April April"),
        ("E EE EEE EEEE EEEEE", "de", "So. So. So. Sonntag Sonntag"),
        ("D DDD d dd F FF u uu", "de", "117 117 27 27 4 04 7 07"),
        ("H HH k kk K KK h hh a aaaa", "de", "13 13 13 13 1 01 1 01 PM PM"),
        ("m mm s ss S SS SSS SSSS", "de", "5 05 7 07 45 45 045 0045"),
        ("z zzzz Z ZZZZ X XX XXX", "de", "GMT+02:00 GMT+02:00 +0200 +0200 +02 +0200 +02:00"),
        ("G GGGG", "de", "n. Chr. n. Chr."),
        ("G GGGG", "en_US", "AD AD"),
        ("h 'o''clock' a", "en_EN", "1 o'clock PM"),
        ("''yy", "en_EN", "'14"),
        ("yyyy-MM-dd'T'HH:mm", "de", "2014-04-27T13:05"),
        ("# d", "de", "# 27"),
    ],
)
def test_a_date_pattern_means_what_it_means_in_java(
    pattern: str, locale: str, expected: str
) -> None:
    assert date_format(pattern, locale=locale).format(APRIL) == expected


@pytest.mark.parametrize(
    ("locale", "day", "expected"),
    [
        ("de_DE", JANUARY, "2020 20 53 0"),
        ("de_DE", DECEMBER, "2025 25 1 5"),
        ("en_US", JANUARY, "2021 21 2 2"),
        ("en_US", DECEMBER, "2025 25 1 5"),
        ("en_EN", JANUARY, "2021 21 1 1"),
        ("en_EN", DECEMBER, "2025 25 1 6"),
    ],
)
def test_weeks_are_counted_as_the_locale_counts_them(
    locale: str, day: datetime, expected: str
) -> None:
    assert date_format("YYYY YY w W", locale=locale).format(day) == expected


def test_midnight_is_24_or_0_or_12() -> None:
    assert date_format("H k K h").format(JANUARY) == "0 24 0 12"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2014, 4, 27, 13, 5), "UTC +0000 Z"),  # noqa: DTZ001 - a value without an offset
        (date(2014, 4, 27), "UTC +0000 Z"),
        (datetime(2014, 4, 27, tzinfo=timezone(-timedelta(hours=3, minutes=30))), None),
    ],
)
def test_a_value_is_written_in_its_own_offset(value: date, expected: str | None) -> None:
    assert date_format("z Z X").format(value) == (expected or "GMT-03:30 -0330 -03")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("hh 'unterminated", "quote without an end"),
        ("b", "'b' is no part"),
        ("yyyy T", "'T' is no part"),
        ("XXXX", "'XXXX' is no part"),
        ("0.00", "no letter"),
        ("'only text'", "no letter"),
        ("y" * 101, "more than 100"),
    ],
)
def test_a_bad_date_pattern_is_refused_when_it_is_compiled(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        date_format(pattern)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2014-04-27", datetime(2014, 4, 27)),  # noqa: DTZ001
        ("2014-04-27T13:05", datetime(2014, 4, 27, 13, 5)),  # noqa: DTZ001
        ("2014-04-27 13:05:07", datetime(2014, 4, 27, 13, 5, 7)),  # noqa: DTZ001
        ("2014-04-27T13:05:07.045+02:00", APRIL),
        ("2014-04-27T13:05:07.045000000+0200", APRIL),
        ("2014-04-27Z", datetime(2014, 4, 27, tzinfo=UTC)),
        ("2014-04-27+02:00", datetime(2014, 4, 27, tzinfo=BERLIN)),
        (date(2014, 4, 27), date(2014, 4, 27)),
        ("20140427", None),
        ("2014-W17-7", None),
        ("2014-02-30", None),
        ("2014-04-27T25:00", None),
        ("27.04.2014", None),
        ("on 2014-04-27", None),
        ("٢٠١٤-٠٤-٢٧", None),
        ("2014-04-27" + " " * 1_000_000, None),
        (20140427, None),
        (None, None),
    ],
)
def test_only_whole_iso_texts_are_dates(value: Any, expected: date | None) -> None:
    assert as_date(value) == expected


def test_a_date_without_a_pattern_has_one_fixed_form() -> None:
    assert spell_date(APRIL) == "2014-04-27 13:05"
    assert spell_date(date(2014, 4, 27)) == "2014-04-27 00:00"


@pytest.mark.parametrize(
    ("pattern", "locale", "number", "expected"),
    [
        ("#,###,##0.00", "de_DE", 1199.99, "1.199,99"),
        ("#,###,##0.00", "en_EN", 1234567.891, "1,234,567.89"),
        ("EUR #,###,##0.00", "de_DE", 1456.781, "EUR 1.456,78"),
        ("###,###.###", "en_EN", 123456.789, "123,456.789"),
        ("#,##0.00", "fr_FR", 1199.99, "1\u202f199,99"),
        ("#,####.00", "en_EN", 1234567.891, "123,4567.89"),
        ("#,##,###.0", "hi_IN", 1234567.891, "1,234,567.9"),
        ("#", "en_EN", 0, "0"),
        ("#.00", "en_EN", 0, ".00"),
        ("#.##", "en_EN", 0, "0"),
        (".#", "en_EN", 0, ".0"),
        ("#.", "en_EN", 1, "1."),
        ("#0.0#", "en_EN", 1, "1.0"),
        ("#,##0,000.00", "en_EN", 1, "0,001.00"),
        ("#%", "en_EN", 0.25, "25%"),
        ("#.#%", "de", 1234567.891, "123456789,1%"),
        ("#‰", "en_EN", 1, "1000‰"),
        ("# '%'", "en_EN", 1, "1 %"),
        ("'#'#", "en_EN", -1, "-#1"),
        ("#''", "en_EN", 1, "1'"),
        ("#'kg'", "en_EN", 1, "1kg"),
        ("#.00;(#.00)", "en_EN", -2.5, "(2.50)"),
        ("#;neg #", "en_EN", -1, "neg 1"),
        ("#;#", "en_EN", -1, "-1"),
        ("#;", "en_EN", -1, "-1"),
        ("-#", "en_EN", -1, "--1"),
        ("EUR #", "en_EN", -1, "-EUR 1"),
        ("#,##0.00", "de_DE", -0.001, "-0,00"),
    ],
)
def test_a_number_pattern_means_what_it_means_in_java(
    pattern: str, locale: str, number: float, expected: str
) -> None:
    assert number_format(pattern, locale=locale).format(Decimal(number)) == expected


@pytest.mark.parametrize(
    ("pattern", "number", "expected"),
    [
        ("#.00", 0.125, ".12"),
        ("#", 2.5, "2"),
        ("#", 3.5, "4"),
        ("#", -2.5, "-2"),
        ("#0.00", 1.005, "1.00"),  # the double is a little less
    ],
)
def test_numbers_are_rounded_half_even(pattern: str, number: float, expected: str) -> None:
    assert number_format(pattern).format(Decimal(number)) == expected


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("#.#.#", "has no place"),
        ("##0#", "has no place"),
        ("#.#0", "has no place"),
        ("#E0", "has no place"),
        ("#,", "a group of digits is empty"),
        ("#;-0;", "has no place"),
        ("¤#", "currencies"),
        ("'#'", "no '#' and no '0'"),
        ("#'", "has no place"),
        ("#" * 101, "more than 100"),
    ],
)
def test_a_bad_number_pattern_is_refused_when_it_is_compiled(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        number_format(pattern)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" 12 ", 12),
        ("1e5", 100_000),
        ("12d", 12),
        ("+5", 5),
        (".5", Decimal("0.5")),
        ("5.", 5),
        (2**70, 2**70),
        (1.5, Decimal("1.5")),
        ("1,5", None),
        ("1_000", None),
        ("１２", None),
        ("abc", None),
        ("", None),
        ("NaN", None),
        ("1e999", None),
        (float("inf"), None),
        (True, None),
        ({}, None),
        ("1" * 1_000_000, None),
        (10**5000, None),
    ],
    ids=range(20),
)
def test_a_number_is_what_java_reads_as_a_double(value: Any, expected: Any) -> None:
    assert as_number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1500000.0, "1500000.0"),
        (12345678.9, "1.23456789E7"),
        (50.55, "50.55"),
        (0.001, "0.001"),
        (0.0009, "9.0E-4"),
        (1e7, "1.0E7"),
        (9999999.0, "9999999.0"),
        (-1e-5, "-1.0E-5"),
        (100.0, "100.0"),
        (1 / 3, "0.3333333333333333"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (-0.0, "-0.0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_a_double_is_printed_as_java_prints_it(value: float, expected: str) -> None:
    assert spell_double(value) == expected


def test_an_unknown_locale_is_english() -> None:
    assert not locales.is_known("xx_YY")
    assert not locales.is_known("../../etc/passwd")
    assert date_format("MMMM", locale="xx_YY").format(APRIL) == "April"
    assert number_format("#,##0.0", locale="?").format(Decimal(1000)) == "1,000.0"


def test_trying_many_locales_does_not_keep_them_all() -> None:
    for name in localedata.locale_identifiers()[:120]:
        assert locales.locale(name).number_symbols["latn"]

    assert len(localedata._cache) < 20


@given(st.floats())
def test_a_printed_double_is_the_double(value: float) -> None:
    assert repr(float(spell_double(value).replace("Infinity", "inf"))) == repr(value)


@given(st.text(alphabet="#0,.;'%-¤\x00 aE€", max_size=12), st.floats(), st.integers())
def test_any_number_pattern_works_or_is_refused(pattern: str, double: float, whole: int) -> None:
    try:
        compiled = number_format(pattern, locale="de")
    except ValueError:
        return

    for number in (as_number(double), as_number(whole)):
        assert number is None or compiled.format(number)


DAYS = st.datetimes(max_value=datetime(9998, 12, 31))  # noqa: DTZ001


@given(st.text(alphabet="GyYMLwWDdFEuaHkKhmsSzZX' .-", max_size=20), DAYS)
def test_any_date_pattern_works_or_is_refused(pattern: str, moment: datetime) -> None:
    try:
        compiled = date_format(pattern, locale="de")
    except ValueError:
        return

    assert compiled.format(moment)
