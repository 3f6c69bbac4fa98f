"""Text of a prompt is what its author wrote; XML that means harm is refused before it can."""

from __future__ import annotations

import time

import pytest

from app.errors import PayloadTooLarge, PromptTemplateInvalid
from app.prompts.definition import Definition
from app.prompts.documents import Read, Source, read
from app.prompts.imixs import markup

DEFINITION = """<PromptDefinition>
  <prompt role="system">You are a computer expert.</prompt>
  <prompt role="user">How long is a byte?</prompt>
</PromptDefinition>"""


def xml(text: str | bytes) -> Read:
    return read(text, Source.XML)


def only(text: str | bytes) -> Definition:
    [definition] = xml(text).definitions
    return definition


def refused(text: str | bytes) -> PromptTemplateInvalid:
    with pytest.raises(PromptTemplateInvalid) as caught:
        xml(text)
    return caught.value


def content(inside: str) -> str:
    """What a prompt with this inside says."""
    [message] = only(
        f"<PromptDefinition><prompt>{inside}</prompt></PromptDefinition>"
    ).first.messages
    return message.content


# --- content -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", ""),
        ("  kept \n\t as it is ", "  kept \n\t as it is "),
        ("A &amp; B &lt;x&gt; &#8364;", "A & B <x> €"),
        ("<![CDATA[ a < b && c ]]>", " a < b && c "),
        ("a <![CDATA[<b>]]> c", "a <b> c"),
        ("<![CDATA[x]]]]><![CDATA[>y]]>", "x]]>y"),
        ("&lt;itemvalue>a&lt;/itemvalue>", "<itemvalue>a</itemvalue>"),
        ("<!-- not said -->said<?nor this?>", "said"),
        ("cr&#13;lf\r\n", "cr\rlf\n"),
    ],
)
def test_text_is_decoded_and_not_trimmed(inside: str, expected: str) -> None:
    assert content(inside) == expected


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<FILECONTEXT>^.+\\.pdf$</FILECONTEXT>", "<FILECONTEXT>^.+\\.pdf$</FILECONTEXT>"),
        (
            "<itemvalue  format='#,##0.00' >a</itemvalue >",
            "<itemvalue  format='#,##0.00' >a</itemvalue>",
        ),
        ('<a b="1 &amp; 2"/>', '<a b="1 &amp; 2"/>'),
        ("<a><b/><c></c></a>", "<a><b/><c></c></a>"),
        ("x &amp; <b>y &lt; z</b> <![CDATA[a < b]]>", "x & <b>y < z</b> a < b"),
        ("<x:y xmlns:x='u'>1</x:y><!-- c --><z/>", "<x:y xmlns:x='u'>1</x:y><z/>"),
        ("<options>{</options><prompt>in</prompt>", "<options>{</options><prompt>in</prompt>"),
        ("<é ü='ß'>€</é>", "<é ü='ß'>€</é>"),
    ],
)
def test_elements_in_a_prompt_stay_as_written_and_text_around_them_is_decoded(
    inside: str, expected: str
) -> None:
    assert content(inside) == expected


# --- what is no XML, and what means harm ---------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "line", "column"),
    [
        ("<a>\n  <b></a>", 2, 8),
        ("<PromptDefinition>\na & b</PromptDefinition>", 2, 4),
        ("<a", 1, 3),
        ("</fragment>", 1, None),
        ("</fragment><fragment>", 1, None),
        ("<a>&unknown;</a>", 1, 4),
        ("<a>\x01</a>", 1, 4),
        ("<a>&#0;</a>", 1, 4),
        ("<a>\ud800</a>", 1, 1),
        ("", 1, 1),
        ("plain words", 1, 1),
        ("<other/>", 1, 1),
    ],
)
def test_what_is_not_well_formed_or_empty_is_refused_with_its_place(
    document: str, line: int, column: int | None
) -> None:
    error = refused(document)

    assert error.code == "ERROR_LLM_PROMPT_TEMPLATE"
    assert error.details["line"] == line
    assert f"line {line}, column" in error.message or "no <PromptDefinition>" in error.message
    if column is not None:
        assert error.details["column"] == column


def test_white_space_before_the_declaration_is_no_error() -> None:
    document = f'\ufeff \n <?xml version="1.0" encoding="UTF-8"?>\n{DEFINITION}'

    assert len(only(document).first.messages) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_bytes_are_read_as_utf_8_or_utf_16(encoding: str) -> None:
    document = "<PromptDefinition><prompt>Grüße €</prompt></PromptDefinition>"

    assert only(document.encode(encoding)).first.messages[0].content == "Grüße €"


@pytest.mark.parametrize("encoding", ["UTF-7", "utf-7", "ISO-8859-1", "EBCDIC-CP-US", "x"])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_other_encodings_are_refused(encoding: str, as_bytes: bool) -> None:
    document = f'<?xml version="1.0" encoding="{encoding}"?><PromptDefinition/>'

    error = refused(document.encode() if as_bytes else document)

    assert f"Encoding {encoding!r} is not read" in error.message


def test_bytes_in_an_undeclared_encoding_are_refused() -> None:
    assert "not valid UTF-8 at byte 4" in refused(b"<a>\xfc</a>").message


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "http://example.com/a.dtd"><a/>',
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><a>&l9;</a>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://example.com/p"> %p;]><a/>',
        '</fragment><!DOCTYPE a [<!ENTITY x "y">]><fragment>&x;',
        "<a><!doctype a></a>",
    ],
)
def test_a_document_type_is_refused_and_nothing_outside_is_read(document: str) -> None:
    assert "A document type (DTD) is not read" in refused(document).message


def test_a_document_type_that_a_prompt_only_speaks_of_is_text() -> None:
    assert content("<![CDATA[<!DOCTYPE html>]]>") == "<!DOCTYPE html>"


@pytest.mark.parametrize(
    "document",
    [
        "<a>" * 80_000,
        "<a>" * 65 + "</a>" * 65,
        "<a/>" * 65_000,
        "<PromptDefinition>" + "&amp;" * 50_000,
        "<?xml " + "encoding   " * 20_000,
        "<![CDATA[" * 25_000,
        "<!--" * 60_000,
        "<a " + " ".join(f"b{n}=''" for n in range(20_000)) + "/>",
        '<imixs-ai name="PROMPT"/>' * 10_000,
        "<PromptDefinition>" + "".join(f"<x{n}/>" for n in range(20_000)) + "</PromptDefinition>",
    ],
)
def test_hostile_documents_are_refused_at_once(document: str) -> None:
    began = time.process_time()
    refused(document)

    assert time.process_time() - began < 3  # a second, and what collecting others' garbage takes


def test_elements_may_be_nested_64_deep() -> None:
    deep = "<PromptDefinition><prompt>" + "<b>" * 62 + "x" + "</b>" * 62

    assert only(deep + "</prompt></PromptDefinition>").first.messages
    with pytest.raises(PromptTemplateInvalid, match="at most 64 levels"):
        xml(f"<a>{deep}</prompt></PromptDefinition></a>")


@pytest.mark.parametrize("document", ["x" * (markup.MOST_BYTES + 1), b"x" * 10_000_000])
def test_a_document_of_more_than_256_kilobytes_is_refused(document: str | bytes) -> None:
    with pytest.raises(PayloadTooLarge, match="at most 262,144 are read"):
        xml(document)
