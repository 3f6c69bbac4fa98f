"""Imixs' tags and our variables in a message's text: each is filled as the definition's author
expects it, and a tag that cannot work is refused before anything is called.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.errors import PromptRefused, PromptTemplateInvalid, TemplateSyntaxError, Unprocessable
from app.prompts.material import FileText, Material, WorkItem
from app.prompts.text_adapters import Adapted, AdaptedTemplate, parse


def adapt(text: str, items: dict[str, Any] | None = None, /, **material: Any) -> Adapted:
    return parse(text).render(Material(workitem=WorkItem(items), **material))


def text_of(text: str, items: dict[str, Any] | None = None, /, **material: Any) -> str:
    return adapt(text, items, **material).text


def files(**texts: str) -> list[FileText]:
    return [FileText(name.replace("_", "."), text) for name, text in texts.items()]


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<itemvalue>customer.name</itemvalue>",
        "<itemValue>customer.name</itemValue>",
        "<ITEMVALUE>Customer.NAME</ItemValue>",
        "<itemvalue >customer.name</itemvalue >",
        "<itemvalue\n>\ncustomer.name\n</itemvalue\n>",
    ],
)
def test_tag_and_item_names_are_of_any_case(text: str) -> None:
    assert text_of(f"Hello {text}!", {"customer.name": "Anna"}) == "Hello Anna!"


@pytest.mark.parametrize(
    "attribute",
    [
        'separator="/"',
        "separator='/'",
        "separator=/ ",
        'SEPARATOR = "/"',
        "Separator\n=\n'/'",
        'format="" separator="/"',
        "other separator='/'",
        "separator='-' separator='/'",
    ],
)
def test_attributes_are_quoted_by_either_quote_or_none_in_any_case(attribute: str) -> None:
    assert text_of(f"<itemvalue {attribute}>n</itemvalue>", {"n": [1, 20, 300]}) == "1/20/300"


def test_a_quoted_attribute_may_hold_angle_brackets_and_the_other_quote() -> None:
    parts = {"parts": ["a", "b"]}

    assert text_of("""<itemvalue separator="<br />">parts</itemvalue>""", parts) == "a<br />b"
    assert text_of("""<itemvalue separator='">"'>parts</itemvalue>""", parts) == 'a">"b'


@pytest.mark.parametrize(
    "text", ["<itemvalue/>", "<itemvalue />", '<username separator=", "/>', "<itemvalue a=/>"]
)
def test_a_self_closing_tag_has_empty_content(text: str) -> None:
    assert adapt(f"[{text}]", {"x": "y"}) == Adapted("[]", (), ())


def test_a_self_closing_block_has_an_empty_body() -> None:
    assert text_of('[<for-each-value item="a"/>]', {"a": [1, 2]}) == "[]"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("Hello <itemvalue>txtname!", 1, 7),
        ("a\nb <ITEMVALUE>x</propertyvalue>", 2, 3),
        ("<itemvalue>a <itemvalue>b</itemvalue>", 1, 1),
        ("<itemvalue>a</itemvalue> <itemvalue", 1, 26),
        ("<itemvalue separator='>a</itemvalue>", 1, 1),
        ("<itemvalue <b>a</itemvalue>", 1, 1),
        ("\n<FILECONTEXT>a.txt", 2, 1),
        ("<for-each-value item='a'>x", 1, 1),
        ("<for-each-value item=a><for-each-child item=b></for-each-value></for-each-child>", 1, 24),
        ("<for-each-value item=a><!-- </for-each-value> -->", 1, 1),
    ],
)
def test_an_unclosed_tag_is_an_error_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(PromptTemplateInvalid, match=f"Unclosed tag .* line {line}, ") as caught:
        parse(text)

    assert caught.value.details == {"line": line, "column": column}
    assert caught.value.pointer == "/messages"
    assert caught.value.code == "ERROR_LLM_PROMPT_TEMPLATE"


def test_an_unclosed_variable_is_an_error_with_its_place() -> None:
    with pytest.raises(TemplateSyntaxError, match="line 2, column 33") as caught:
        parse("\n<itemvalue>{2}}}</itemvalue> x} {{name <itemvalue>a</itemvalue>")

    assert caught.value.pointer == "/messages"


@pytest.mark.parametrize(
    "text",
    [
        "<b>x</b> <for-each-ref item='a'>x</for-each-ref> <FORMAT/>",
        "<itemvalues>a</itemvalues> <item>a</item> < itemvalue>",
        "</itemvalue> </for-each-value> </FILECONTEXT>",
        "a < b > c && d <= e -> f <",
        "<username@example.com> <İtemvalue> <ſeparator>",
    ],
)
def test_unknown_tags_are_ordinary_text(text: str) -> None:
    assert adapt(text, {"a": "A"}) == Adapted(text, (), ())


@pytest.mark.parametrize(
    "text",
    [
        "<![CDATA[<itemvalue>a</itemvalue>]]>",
        "<!-- <itemvalue>a</itemvalue> -->",
        "<![CDATA[ <itemvalue> ]]>",
        "<!-- </for-each-value> <for-each-value>",
        "<![CDATA[ --> <itemvalue>a</itemvalue>",
        "<!--><itemvalue>-->",
    ],
)
def test_tags_in_cdata_and_comments_are_literal(text: str) -> None:
    assert text_of(f"{text}", {"a": "A"}) == text


def test_tags_after_cdata_and_comments_work_again() -> None:
    text = "<![CDATA[<itemvalue>a</itemvalue>]]> <!-- x --> <itemvalue>a</itemvalue>"

    assert text_of(text, {"a": "A"}) == "<![CDATA[<itemvalue>a</itemvalue>]]> <!-- x --> A"


@pytest.mark.parametrize("name", ["<b>x</b>", "{{x}}", "a\nb", "x" * 256])
def test_a_name_that_can_be_none_is_refused(name: str) -> None:
    for tag in ("itemvalue", "username", "propertyvalue"):
        with pytest.raises(PromptTemplateInvalid, match=f"Invalid <{tag}> at line 1, column 2"):
            parse(f" <{tag}>{name}</{tag}>")


# --- variables ----------------------------------------------------------------------------------


def test_variables_and_tags_stand_in_one_text() -> None:
    adapted = adapt("{{a}} <itemvalue>a</itemvalue> {{ b.c }}", {"a": 2}, context={"a": 1})

    assert adapted == Adapted("1 2 {{ b.c }}", missing=("b.c",), warnings=())


def test_variables_are_replaced_within_blocks_cdata_and_comments() -> None:
    text = "<for-each-value item=n>{{x}}</for-each-value><![CDATA[{{x}}]]><!--{{x}}-->"

    assert text_of(text, {"n": [1, 2]}, context={"x": "v"}) == "vv<![CDATA[v]]><!--v-->"


def test_tags_work_between_braces_that_hold_no_name() -> None:
    assert text_of("{{color: '<itemvalue>c</itemvalue>'}}", {"c": "red"}) == "{{color: 'red'}}"


def test_an_error_about_a_value_names_where_it_came_in() -> None:
    with pytest.raises(Unprocessable, match="value of 'x' cannot be written as JSON") as caught:
        adapt("<itemvalue>x</itemvalue>", {"x": {"a": float("nan")}})

    assert caught.value.pointer == "/workitem"


# --- itemvalue ----------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [{}, {"x": None}, {"x": []}, {"x": ""}, {"x": [None]}])
def test_a_missing_or_empty_item_is_an_empty_string(items: dict[str, Any]) -> None:
    for attributes in ("", " separator=', '", " position=last", " format='#,##0.00'"):
        assert text_of(f"[<itemvalue{attributes}>x</itemvalue>]", items) == "[]"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", "1.0"),
        ("separator=', '", "1.0, 20.0, 300.0"),
        ("separator=''", "1.020.0300.0"),
        (r"separator='\n\t'", "1.0\n\t20.0\n\t300.0"),
        ("format='#'", "1"),
        ("format='#' separator=';'", "1;20;300"),
        ("position=first", "1.0"),
        ("position=LAST", "300.0"),
        ("position=middle", "1.0"),
        ("position=''", "1.0"),
        ("position=last format='#' separator=';'", "300.0"),
    ],
)
def test_of_many_values_the_first_or_all_or_one_by_position(attributes: str, expected: str) -> None:
    text = f"<itemvalue {attributes}>n</itemvalue>"

    assert text_of(text, {"n": [1.0, 20.0, 300.0]}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (7, "7"),
        (1500000.0, "1500000.0"),
        (12345678.9, "1.23456789E7"),
        (True, "true"),
        (False, "false"),
        ({"ä": [1, None]}, '{"ä":[1,null]}'),
        ([[1, 2]], "[1,2]"),
        ("2014-04-27T13:05:00", "2014-04-27T13:05:00"),
        (datetime(2014, 4, 27, 13, 5, tzinfo=UTC), "2014-04-27 13:05"),
        (date(2014, 4, 27), "2014-04-27 00:00"),
    ],
)
def test_a_value_without_a_format(value: Any, expected: str) -> None:
    assert text_of("<itemvalue>x</itemvalue>", {"x": value}) == expected


@pytest.mark.parametrize("value", ["2014-04-27", date(2014, 4, 27), "2014-04-27T00:00:00Z"])
def test_a_date_is_written_by_its_format_and_locale(value: Any) -> None:
    text = "<itemvalue format='EEEE, d. MMMM yyyy' locale={}>x</itemvalue>"

    assert text_of(text.format("de"), {"x": value}) == "Sonntag, 27. April 2014"
    assert text_of(text.format("de_DE"), {"x": value}) == "Sonntag, 27. April 2014"
    assert text_of(text.format("en_EN"), {"x": value}) == "Sunday, 27. April 2014"


def test_a_text_that_is_no_date_is_not_changed_by_a_date_format() -> None:
    text = "<itemvalue format='dd.MM.yyyy' separator='; '>x</itemvalue>"

    assert text_of(text, {"x": ["2014-04-27", "soon", 5, "2014-02-30"]}) == (
        "27.04.2014; soon; 5; 2014-02-30"
    )


@pytest.mark.parametrize("format", ["bb", "yyyy 'open", "#.#.#", "¤#", "0.00", "x" * 300])
def test_a_bad_pattern_leaves_the_value_unformatted_with_a_warning(format: str) -> None:
    adapted = adapt(f'<itemvalue separator=" " format="{format}">x</itemvalue>', {"x": [1.5, "a"]})

    assert adapted.text == "1.5 a"
    assert len(adapted.warnings) == 1
    assert adapted.warnings[0].startswith(f"The format {format[:80]!r} is not used: ")


def test_a_number_is_written_by_its_format_and_locale() -> None:
    text = '<itemvalue format="#,###,##0.00" locale="de_DE">x</itemvalue> €'

    assert text_of(text, {"x": 1199.99}) == "1.199,99 €"
    assert text_of(text, {"x": "1199.99"}) == "1.199,99 €"


@pytest.mark.parametrize("value", ["abc", "1,5", True, {"a": 1}, "2014-04-27"])
def test_what_is_no_number_is_0_in_a_number_format(value: Any) -> None:
    assert text_of("<itemvalue format='#,##0.00'>x</itemvalue>", {"x": value}) == "0"


def test_an_unknown_locale_is_english_with_a_warning() -> None:
    adapted = adapt("<itemvalue format='MMMM' locale='xx'>x</itemvalue>", {"x": "2014-05-01"})

    assert adapted == Adapted("May", (), ("The locale 'xx' is unknown; English is used",))


def test_a_text_may_name_only_a_few_locales() -> None:
    with pytest.raises(PromptTemplateInvalid, match="at most 8 different locales"):
        parse("".join(f"<itemvalue format=d locale=a{c}>x</itemvalue>" for c in "abcdefghi"))


@pytest.mark.parametrize("tag", ["itemvalue", "filedata"])
def test_a_reference_to_another_work_item_stays_empty_with_a_warning(tag: str) -> None:
    adapted = adapt(f"[<{tag} ref='$workitemref'>x</{tag}>]", {"x": "own"}, files=files(x="own"))

    assert adapted.text == "[]"
    assert len(adapted.warnings) == 1


def test_values_go_in_without_any_escaping() -> None:
    assert text_of("<itemvalue>x</itemvalue>", {"x": "A & B <c> \"d\" 'e'"}) == (
        "A & B <c> \"d\" 'e'"
    )


# --- propertyvalue and username -----------------------------------------------------------------


def test_a_property_is_one_of_those_the_material_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "in the environment")
    text = "<propertyvalue>app.url</propertyvalue>|<propertyvalue>SECRET</propertyvalue>"

    adapted = adapt(text, properties={"app.url": "https://example.org"})

    assert adapted == Adapted("https://example.org|", (), ("There is no property 'SECRET'",))


def test_a_user_is_written_by_display_name_and_an_unknown_id_stays() -> None:
    names = {"anna": "Anna Alt", "7": "Seven"}
    items = {"$editor": ["anna", "bob", 7]}

    assert text_of("<username>$editor</username>", items, names=names) == "Anna Alt"
    assert text_of("<username separator=', '>$EDITOR</username>", items, names=names) == (
        "Anna Alt, bob, Seven"
    )
    assert text_of("<username position=last>$editor</username>", items, names=names) == "Seven"


def test_a_user_item_that_is_missing_is_an_empty_string() -> None:
    assert text_of("[<username>nobody</username>]", names={"nobody": "No"}) == "[]"


# --- for-each -----------------------------------------------------------------------------------


def test_for_each_value_sees_one_value_and_the_other_items() -> None:
    text = (
        '<for-each-value item="_partid">Order: <itemvalue>_orderid</itemvalue> Part:'
        " <itemvalue separator=','>_PartID</itemvalue><br /></for-each-value>"
    )

    assert text_of(text, {"_orderid": "111", "_partid": ["A1", "B4"]}) == (
        "Order: 111 Part: A1<br />Order: 111 Part: B4<br />"
    )


def test_for_each_child_sees_the_items_of_the_child_only() -> None:
    text = (
        '<for-each-child item="_childs"><itemvalue>_orderid</itemvalue>:'
        " <itemvalue separator='+'>_amount</itemvalue> <itemvalue>_only</itemvalue>|"
        "</for-each-child>"
    )
    children = [{"_OrderID": "A1", "_amount": 50.55}, {"_orderid": "B4", "_amount": [1500000.0, 2]}]

    assert text_of(text, {"_childs": children, "_orderid": "not used", "_only": "not used"}) == (
        "A1: 50.55 |B4: 1500000.0+2 |"
    )


def test_for_each_child_leaves_out_what_is_no_object() -> None:
    text = "<for-each-child item=c><itemvalue>n</itemvalue></for-each-child>"

    adapted = adapt(text, {"c": ["x", {"n": 1}, 2], "n": 9})

    assert adapted.text == "1"
    assert len(adapted.warnings) == 1


@pytest.mark.parametrize("kind", ["value", "child"])
@pytest.mark.parametrize("items", [{}, {"a": []}, {"a": None}])
def test_for_each_over_a_missing_or_empty_item_is_empty(kind: str, items: dict[str, Any]) -> None:
    assert text_of(f"[<for-each-{kind} item=a>x</for-each-{kind}>]", items) == "[]"


def test_for_each_within_for_each() -> None:
    text = (
        "<for-each-child item=orders><itemvalue>id</itemvalue>("
        "<for-each-value item=parts>{{sep}}<itemvalue>parts</itemvalue>"
        "<for-each-value item=parts>!</for-each-value></for-each-value>)</for-each-child>"
    )
    orders = [{"id": 1, "parts": ["a", "b"]}, {"id": 2}]

    assert text_of(text, {"orders": orders}, context={"sep": "-"}) == "1(-a!-b!)2()"


def test_a_value_that_is_a_list_stays_one_value_in_for_each() -> None:
    text = "<for-each-value item=a>[<itemvalue separator=','>a</itemvalue>]</for-each-value>"

    assert text_of(text, {"a": [["x", "y"], "z"]}) == '[["x","y"]][z]'


def test_the_same_text_around_different_children_is_filled_for_each() -> None:
    same = {"n": "same"}
    text = (
        "<for-each-child item=c><for-each-value item=n><username>n</username></for-each-value>"
        "</for-each-child><username>n</username>"
    )

    assert (
        text_of(text, {"c": [same, same, {"n": "x"}], "n": "o"}, names={"x": "X"}) == "samesameXo"
    )


def test_for_each_without_an_item_is_refused() -> None:
    with pytest.raises(PromptTemplateInvalid, match="it has no item"):
        parse("<for-each-value>x</for-each-value>")


def test_for_each_may_be_nested_to_a_depth() -> None:
    deep = "<for-each-value item=a>" * 8 + "x" + "</for-each-value>" * 8

    assert text_of(deep, {"a": [1, 2]}) == "xx"  # within, `a` has one value
    with pytest.raises(PromptTemplateInvalid, match="at most 8 for-each tags"):
        parse(f"<for-each-child item=b>{deep}</for-each-child>")


# --- files --------------------------------------------------------------------------------------


def test_file_context_joins_files_without_blank_lines() -> None:
    text = "<FILECONTEXT>txt$</FILECONTEXT>"

    assert text_of(text, files=files(a_txt="A", x_pdf="P", b_txt="B")) == "A\nB"


def test_file_context_trims_lines_on_the_right_and_keeps_indentation() -> None:
    content = "\n\n  first  \r\n \t \r\n\f\n    second\t\r\r\nthird\n\n\n"

    assert text_of("[<FILECONTEXT>a</FILECONTEXT>]", files=files(a=content)) == (
        "[  first\n    second\nthird]"
    )


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("example.txt", ["my-exampleXtxt.bak", "example.txt"]),
        (r"^example\.txt$", ["example.txt"]),
        (r"^.+\.([pP][dD][fF])$", ["a.PDF"]),
        ("  (?i)pdf  ", ["a.PDF"]),
        ("", ["my-exampleXtxt.bak", "example.txt", "a.PDF"]),
    ],
)
def test_a_file_pattern_is_searched_in_the_name(pattern: str, found: list[str]) -> None:
    given = [FileText(n, n) for n in ("my-exampleXtxt.bak", "example.txt", "a.PDF")]

    assert text_of(f"<filecontext>{pattern}</filecontext>", files=given) == "\n".join(found)


def test_file_context_may_stand_in_a_text_several_times() -> None:
    text = "<FILECONTEXT>a</FILECONTEXT>|<FileContext>b</FileContext>|<FILECONTEXT>a</FILECONTEXT>"

    assert text_of(text, files=files(a="A", b="B")) == "A|B|A"


@pytest.mark.parametrize("given", [{}, {"b_txt": "B"}, {"a_txt": ""}, {"a_txt": " \n\t\n"}])
def test_file_context_without_any_text_refuses_the_prompt(given: dict[str, str]) -> None:
    with pytest.raises(PromptRefused, match=r"^No File Context found in current workitem") as error:
        adapt("<FILECONTEXT>a.txt</FILECONTEXT>", files=files(**given))

    assert error.value.code == "PROMPT_ERROR"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(?=a)", "RE2"),
        (r"(a)\1", "RE2"),
        ("(", "RE2"),
        ("\ud800", "RE2"),
        ("a" * 201, "201 characters; at most 200"),
    ],
)
def test_a_file_pattern_that_cannot_be_used_is_refused_when_parsed(
    pattern: str, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for tag in ("FILECONTEXT", "filedata"):
        with pytest.raises(PromptTemplateInvalid, match=problem) as caught:
            parse(f"\n <{tag}>{pattern}</{tag}>")
        assert caught.value.details == {"line": 2, "column": 2}

    assert capfd.readouterr() == ("", "")


def test_a_text_may_name_only_so_many_file_patterns() -> None:
    with pytest.raises(PromptTemplateInvalid, match="at most 50 different file patterns"):
        parse("".join(f"<filedata>{number}</filedata>" for number in range(51)))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", "A  \n\nB"),
        (r" separator='\n---\t\n'", "A  \n---\t\nB"),
        (" separator=''", "A  B"),
    ],
)
def test_filedata_takes_texts_as_they_are_with_a_separator(attributes: str, expected: str) -> None:
    text = f"<filedata{attributes}>.</filedata>"

    assert text_of(text, files=files(a="A  ", empty="", b="B")) == expected


def test_filedata_without_a_match_is_empty_with_a_warning() -> None:
    adapted = adapt("[<filedata>pdf</filedata>]", files=files(a_txt="A"))

    assert adapted == Adapted("[]", (), ("No file with text has a name that 'pdf' finds",))


# --- what a text reads --------------------------------------------------------------------------


def test_a_parsed_text_says_what_it_reads() -> None:
    template = parse(
        "{{v}} {{w.x}} {{v}} <itemvalue>Alpha</itemvalue> <itemvalue>alpha</itemvalue><itemvalue/>"
        "<username>$editor</username> <propertyvalue>p.q</propertyvalue>"
        "<for-each-value item='list'><itemvalue>list</itemvalue></for-each-value>"
        "<for-each-child item=kids>{{y}}<itemvalue>of.kid</itemvalue><username>kid.user</username>"
        "<for-each-child item='more'><itemvalue>x</itemvalue></for-each-child></for-each-child>"
        "<itemvalue>last</itemvalue><FILECONTEXT>a</FILECONTEXT><filedata>b</filedata>"
        "<FILECONTEXT>a</FILECONTEXT>"
    )

    assert isinstance(template, AdaptedTemplate)
    assert template.variables == ("v", "w.x", "y")
    assert template.items == ("Alpha", "$editor", "list", "kids", "last")
    assert template.properties == ("p.q",)
    assert template.user_items == ("$editor", "kid.user")
    assert template.file_patterns == ("a", "b")


def test_a_template_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse("{{x}}").items = ()  # type: ignore[misc]


def test_short_texts_are_parsed_once() -> None:
    text = "<itemvalue>only</itemvalue> {{here}}"

    assert parse(text) is parse(text)
    assert parse("x" * 30_000) is not parse("x" * 30_000)
