"""The files of a report's pieces joined to one: pages, bookmarks, links between them, and the tags by which a screen reader reads it.

Only files of `report.typ` are joined: Typst writes every object in the open, and pages, tags and bookmarks as flat lists. That is checked,
and lets the pieces be copied as bytes. A library that holds each of the hundred thousand tags as an object took 500 MB for 5,000 rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

PAGE = b"everfix-page:"  # an address of a page of the whole file, as the table of contents of `report.typ` has it
OBJECT = re.compile(rb"(\d+) 0 obj\n(.*)\nendobj\s*", re.DOTALL)
REFERENCE = re.compile(rb"(\d+) 0 R")
KEY = re.compile(rb"/(StructParents?) (\d+)")
NUMBERED = re.compile(rb"(\d+) (\d+ 0 R)")
NAMED = re.compile(rb"\((U\d+x\d+y\d+)\)")  # the name of a heading's cell, where a cell names its own or its headings'
NAMING = re.compile(rb"(?:/ID|/Headers\[|/Names\[|\d+ 0 R ?|^ ?)$")
TO_PAGE = re.compile(rb"/A<</Type/Action/S/URI/URI\(" + PAGE + rb"(\d+)\)>>(.*?)/Contents\(" + PAGE + rb"\d+\)", re.DOTALL)
CONTINUED = re.compile(rb"/S/H1/P \d+ 0 R/T<FEFF2026>/K\[\]")  # the heading that must be there and is not seen (`report.typ`, "continued")


@dataclass
class Pdf:
    """The bodies of a file's objects in their order (the first is object 1), and the numbers of those that stand for the whole of it."""

    bodies: list[bytes]
    root: int
    info: int
    pages: int
    tags: int
    document: int
    outline: int

    def __getitem__(self, number: int) -> bytes:
        return self.bodies[number - 1]

    def listed(self, number: int, name: bytes) -> bytes:
        """Return what stands between the brackets of an object's list, which holds no other list."""
        return _found(name + rb"\[([^\[\]]*)\]", self[number])[1]

    def figure(self, number: int, name: bytes) -> int:
        return int(_found(name + rb" (\d+)", self[number])[1])


@dataclass
class Whole:
    """What the pieces have in common, as it grows."""

    kids: list[bytes] = field(default_factory=list)
    children: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    next_key: int = 0
    ends: list[tuple[int, int]] = field(default_factory=list)  # first and last bookmark of each piece that has some
    marks: int = 0


def joined(files: list[bytes]) -> bytes:
    """Return one PDF with the pages of all; the first gives its metadata."""
    made, whole = read(files[0]), Whole()
    _take(whole, made)
    for number, file in enumerate(files[1:], start=1):
        piece = read(file)
        own = {piece.pages: made.pages, piece.tags: made.tags, piece.document: made.document, piece.outline: made.outline}
        places = {old: own.get(old, old + len(made.bodies)) for old in range(1, len(piece.bodies) + 1)}
        piece.bodies = [_moved(body, places, whole.next_key, b"(V%04d" % number) for body in piece.bodies]
        _take(whole, piece, places)
        for left in (piece.root, piece.info, *own):
            piece.bodies[left - 1] = b"null"
        made.bodies += piece.bodies
    _close(made, whole)
    return _written(made)


def read(made: bytes) -> Pdf:
    """Return the objects of a file that Typst made; raises ValueError where it is written in another way."""
    start = int(_found(rb"startxref\s+(\d+)\s+%%EOF\s*$", made[-64:])[1])
    table = _found(rb"xref\n0 \d+\s*\n((?:\d{10} \d{5} [fn]\s*\n)+)trailer\s*(.*)startxref", made[start:])
    places = [int(line[:10]) for line in table[1].splitlines()][1:]
    if sorted(places) != places:
        raise ValueError("the objects of the file are not in their order")
    bodies = []
    for number, (place, end) in enumerate(zip(places, [*places[1:], start], strict=True), start=1):
        found = OBJECT.fullmatch(made, place, end)
        if found is None or int(found[1]) != number:
            raise ValueError(f"object {number} is not where the file says")
        bodies.append(found[2])
    root, info = (_reference(name, table[2]) for name in (rb"/Root", rb"/Info"))
    pages, tags, outline = (_reference(name, bodies[root - 1]) for name in (rb"/Pages", rb"/StructTreeRoot", rb"/Outlines"))
    return Pdf(bodies, root, info, pages, tags, int(_found(rb"/K\[(\d+) 0 R\]", bodies[tags - 1])[1]), outline)


def _found(pattern: bytes, text: bytes) -> re.Match[bytes]:
    found = re.search(pattern, text, re.DOTALL)
    if found is None:
        raise ValueError(f"{pattern.decode()} is not in the file")
    return found


def _reference(name: bytes, text: bytes) -> int:
    return int(_found(name + rb" (\d+) 0 R", text)[1])


def _moved(body: bytes, places: dict[int, int], keys: int, prefix: bytes) -> bytes:
    """Return an object that names others by their new numbers, has its key in the whole tree, and names no cell of another piece."""
    head, stream, rest = body.partition(b"\nstream\n") if body.endswith(b"endstream") else (body, b"", b"")
    parts: list[bytes] = []
    for is_text, part in _parts(head):
        if not is_text:
            moved = REFERENCE.sub(lambda found: b"%d 0 R" % places[int(found[1])], part)
            parts.append(KEY.sub(lambda found: b"/%s %d" % (found[1], int(found[2]) + keys), moved))
        elif (named := NAMED.fullmatch(part)) and parts and NAMING.search(parts[-1]):
            parts.append(prefix + named[1] + b")")
        else:
            parts.append(part)
    return b"".join(parts) + stream + rest


def _parts(text: bytes) -> Iterator[tuple[bool, bytes]]:
    """Tell strings from the rest. Brackets within a string are in pairs, or have a backslash."""
    place = 0
    while (opening := text.find(b"(", place)) >= 0:
        yield False, text[place:opening]
        depth, place = 1, opening + 1
        while depth:
            sign = text[place : place + 1]
            if not sign:
                raise ValueError("a text of the file has no end")
            depth += (sign == b"(") - (sign == b")")
            place += 2 if sign == b"\\" else 1
        yield True, text[opening:place]
    yield False, text[place:]


def _take(whole: Whole, piece: Pdf, places: dict[int, int] | None = None) -> None:
    """Add a piece's pages, tags and bookmarks; `places` are its objects' new numbers where they are other ones."""
    whole.kids.append(piece.listed(piece.pages, rb"/Kids"))
    children = piece.listed(piece.document, rb"/K")
    if places:
        first = int(_found(rb"^(\d+) 0 R", children)[1])
        if CONTINUED.search(piece[next(old for old, new in places.items() if new == first)]):
            children = children.partition(b" R")[2].strip()
    whole.children.append(children)
    keyed = piece.listed(piece.tags, rb"/ParentTree<</Nums")
    whole.keys.append(NUMBERED.sub(lambda found: b"%d %s" % (int(found[1]) + whole.next_key, found[2]), keyed))
    whole.names.append(piece.listed(piece.tags, rb"/IDTree<</Names"))
    whole.next_key += piece.figure(piece.tags, rb"/ParentTreeNextKey")
    if b"/First" in piece[piece.outline]:
        whole.ends.append((_reference(rb"/First", piece[piece.outline]), _reference(rb"/Last", piece[piece.outline])))
        whole.marks += piece.figure(piece.outline, rb"/Count")


def _close(made: Pdf, whole: Whole) -> None:
    """Write the lists of the whole into the objects of the first piece, chain the bookmarks, and link the table of contents."""
    pages = [int(number) for number in REFERENCE.findall(b" ".join(whole.kids))]
    _change(made, made.pages, rb"/Kids\[[^\[\]]*\]", b"/Kids[%s]" % b" ".join(whole.kids))
    _change(made, made.pages, rb"/Count \d+", b"/Count %d" % len(pages))
    _change(made, made.document, rb"/K\[[^\[\]]*\]", b"/K[%s]" % b" ".join(whole.children))
    _change(made, made.tags, rb"/Nums\[[^\[\]]*\]", b"/Nums[%s]" % b" ".join(whole.keys))
    _change(made, made.tags, rb"/Names\[[^\[\]]*\]", b"/Names[%s]" % b" ".join(whole.names))
    _change(made, made.tags, rb"/ParentTreeNextKey \d+", b"/ParentTreeNextKey %d" % whole.next_key)
    _change(made, made.outline, rb"/Last \d+", b"/Last %d" % whole.ends[-1][1])
    _change(made, made.outline, rb"/Count \d+", b"/Count %d" % whole.marks)
    for (_, last), (first, _) in zip(whole.ends, whole.ends[1:], strict=False):
        _change(made, last, rb"^<<", b"<</Next %d 0 R" % first)
        _change(made, first, rb"^<<", b"<</Prev %d 0 R" % last)
    for number, body in enumerate(made.bodies):
        if PAGE in body:
            made.bodies[number] = TO_PAGE.sub(
                lambda found: b"/Dest[%d 0 R/Fit]%s/Contents(Page %s)" % (pages[int(found[1]) - 1], found[2], found[1]), body
            )


def _change(made: Pdf, number: int, pattern: bytes, text: bytes) -> None:
    changed, times = re.subn(pattern, lambda _: text, made[number], count=1)
    if times != 1:
        raise ValueError(f"{pattern.decode()} is not in object {number} of the file")
    made.bodies[number - 1] = changed


def _written(made: Pdf) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n%\x80\x80\x80\x80\n"), []
    for number, body in enumerate(made.bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, name = len(out), hashlib.sha256(out).hexdigest()[:32].encode()
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]>>\n" % (len(places) + 1, made.root, made.info, name, name)
    out += b"startxref\n%d\n%%%%EOF" % start
    return bytes(out)
