"""PDFs for tests, written by hand: honest ones of any number of pages, and hostile ones.

    pdf("Hello")                      one page
    pdf("one", "two", packed=True)    two pages, their contents deflated

`Draft` is what the others are made with: objects by number, and the file around them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


@dataclass
class Draft:
    """The objects of a PDF, by number; 1 is the catalogue and 2 the page tree."""

    objects: dict[int, bytes] = field(default_factory=dict)
    trailer: bytes = b""

    def add(self, content: bytes) -> int:
        """The number this object got; numbers below 10 are left to the caller."""
        number = max([9, *self.objects]) + 1
        self.objects[number] = content
        return number

    def add_stream(self, data: bytes, entries: bytes = b"") -> int:
        return self.add(stream(data, entries))

    def finished(self) -> bytes:
        """The file: header, objects, table of places, trailer."""
        self.objects.setdefault(1, b"<</Type/Catalog/Pages 2 0 R>>")
        written = bytearray(b"%PDF-1.7\n")
        places: dict[int, int] = {}
        for number, content in self.objects.items():
            places[number] = len(written)
            written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
        table, size = len(written), max(self.objects) + 1
        written += b"xref\n0 %d\n0000000000 65535 f \n" % size
        for number in range(1, size):
            known = number in places
            written += b"%010d %05d %c \n" % (places.get(number, 0), 0, b"n" if known else b"f")
        written += b"trailer\n<</Size %d/Root 1 0 R%b>>\n" % (size, self.trailer)
        return bytes(written + b"startxref\n%d\n%%%%EOF\n" % table)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(data), entries, data)


def pdf(*pages: str, packed: bool = False, trailer: bytes = b"") -> bytes:
    """A PDF with these texts, each on a page of its own, line by line."""
    draft = Draft(trailer=trailer)
    contents = [page_of(draft, shown(text), packed=packed) for text in pages]
    return finished(draft, contents)


def finished(draft: Draft, pages: list[int]) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in pages)
    draft.objects[2] = b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(pages), kids)
    draft.objects[3] = FONT
    return draft.finished()


def page_of(draft: Draft, drawing: bytes, *, packed: bool = False, extra: bytes = b"") -> int:
    """A page on which this is drawn; `extra` are further resources."""
    if packed:
        drawn = draft.add_stream(zlib.compress(drawing), b"/Filter/FlateDecode")
    else:
        drawn = draft.add_stream(drawing)
    return draft.add(
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R"
        b"/Resources<</Font<</F1 3 0 R>>%b>>>>" % (drawn, extra)
    )


def shown(text: str) -> bytes:
    """The drawing of some lines of Windows-1252."""
    lines = (
        b"(%b) Tj 0 -14 Td" % line.encode("cp1252").translate(None, b"()\\")
        for line in text.split("\n")
    )
    return b"BT /F1 11 Tf 72 720 Td\n%b\nET" % b"\n".join(lines)


def encrypted() -> bytes:
    """A PDF that says it is encrypted (RC4, 40 bits); nobody has its password."""
    handler = b"/Encrypt<</Filter/Standard/V 1/R 2/Length 40/P -4/O<%b>/U<%b>>>" % (
        b"41" * 32,
        b"42" * 32,
    )
    return pdf("secret", trailer=handler + b"/ID[<%b><%b>]" % (b"43" * 16, b"43" * 16))


def scan() -> bytes:
    """A page with a drawing and no text."""
    draft = Draft()
    return finished(draft, [page_of(draft, b"0 0 100 100 re f")])


def flate_bomb(size: int, *, layers: int = 1) -> bytes:
    """Contents that unpack to `size` bytes, deflated so many times over."""
    packer = zlib.compressobj(1)
    piece = b"(A) Tj " * 16_384
    data = b"".join(packer.compress(piece) for _ in range(size // len(piece))) + packer.flush()
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    filters = b"/Filter[%b]" % (b"/FlateDecode" * layers)
    draft = Draft()
    page = page_of(draft, b"")
    draft.objects[page - 1] = stream(data, filters)
    return finished(draft, [page])


def wide_page_tree(count: int) -> bytes:
    """One page, named so many times."""
    draft = Draft()
    return finished(draft, [page_of(draft, shown("again"))] * count)


def doubling_page_tree(levels: int) -> bytes:
    """Two to the power of `levels` pages in a file of a few kilobytes."""
    draft = Draft()
    below = page_of(draft, shown("again"))
    for _ in range(levels):
        below = draft.add(b"<</Type/Pages/Count 2/Kids[%d 0 R %d 0 R]>>" % (below, below))
    return finished(draft, [below])


def doubling_forms(levels: int) -> bytes:
    """A drawing that draws another twice, which draws another twice, and so on."""
    draft = Draft()
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<<%b>>"
    below = draft.add_stream(shown("ha"), form % b"/Font<</F1 3 0 R>>")
    for _ in range(levels):
        below = draft.add_stream(b"/X Do /X Do", form % (b"/XObject<</X %d 0 R>>" % below))
    extra = b"/XObject<</X %d 0 R>>" % below
    return finished(draft, [page_of(draft, b"/X Do", extra=extra)])


def recursive_page_tree() -> bytes:
    """A page tree whose only member is itself."""
    draft = Draft()
    draft.objects[2] = b"<</Type/Pages/Count 1/Kids[2 0 R]>>"
    return draft.finished()


def recursive_table() -> bytes:
    """A table of places whose predecessor is itself, and which knows no catalogue."""
    head = b"%PDF-1.7\n"
    table = b"xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 1/Root 1 0 R/Prev %d>>\n" % len(head)
    return head + table + b"startxref\n%d\n%%%%EOF\n" % len(head)


def nested_array(depth: int) -> bytes:
    """A catalogue with brackets in brackets."""
    draft = Draft({1: b"<</Type/Catalog/Pages 2 0 R/Names %b%b>>" % (b"[" * depth, b"]" * depth)})
    return finished(draft, [page_of(draft, shown("deep"))])
