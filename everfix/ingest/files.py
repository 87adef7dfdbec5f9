"""Reads real failures from files: CSV, JSON lines, JUnit XML, Alertmanager and CloudEvents JSON, each plain or gzipped."""

from __future__ import annotations

import codecs
import gzip
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from everfix.ingest import columns, delimited, jsonl, junit, records
from everfix.ingest.records import Record, Reject, UnreadableFileError

__all__ = ["FORMATS", "Record", "Reject", "UnreadableFileError", "read"]

FORMATS = ("csv", "jsonl", "json", "junit", "alertmanager", "cloudevents")
HEAD = 1 << 18
SIGNATURES = {
    b"PK\x03\x04": "a zip or Excel workbook; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file; write it as CSV",
    b"\x28\xb5\x2f\xfd": "a zstd archive; unpack it first",
    b"BZh": "a bzip2 archive; unpack it first",
    b"\xfd7zXZ": "an xz archive; unpack it first",
}
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read(
    path: Path | str,
    *,
    format: str | None = None,
    mapping: Mapping[str, str] | str | None = None,
    source: str | None = None,
) -> Iterator[Record | Reject]:
    """Read one file as it streams by; a record that cannot be taken is given as a Reject and the rest goes on.

    `format` is one of FORMATS (None: told by content and name), `mapping` is {field: column} or `title=Summary,external_id=Key`,
    `source` names where the failures came from (None: csv, jsonl, junit, prometheus_alertmanager or cloudevents, by what is found).
    Raises UnreadableFileError at once where the file as a whole, the format or the mapping cannot be used.
    """
    if format is not None and format not in FORMATS:
        raise UnreadableFileError(f"format: {records.quoted(format)} is not allowed; allowed: {', '.join(FORMATS)}")
    checked = columns.parse_mapping(mapping) if isinstance(mapping, str) else columns.checked_mapping(mapping or {})
    path = Path(path)
    stream, head = _open(path)
    opened: BinaryIO | TextIO = stream
    try:
        encoding = encoding_of(head)
        text = head.decode(encoding, errors="replace")
        chosen = format or detect(path.name, text)
        opened = stream if chosen == "junit" else _as_text(stream, encoding, chosen)
        found = _reader(opened, text, chosen=chosen, mapping=checked, source=source, place=_place(path))
    except UnreadableFileError as error:
        opened.close()
        raise UnreadableFileError(f"{path.name}: {error}") from error
    except records.BROKEN as error:
        opened.close()
        raise UnreadableFileError(f"{path.name}: {records.breakage(error)}") from error
    return _guarded(found, opened)


def _place(path: Path) -> str:
    return re.sub(r"\.gz$", "", path.name)


def _open(path: Path) -> tuple[BinaryIO, bytes]:
    """Open the file, unpacked where it is gzip, and its first 256 KiB; raises UnreadableFileError."""
    try:
        plain = path.open("rb")
    except OSError as error:
        raise UnreadableFileError(f"{path}: cannot be read: {error.strerror}") from error
    magic = plain.read(8)
    plain.seek(0)
    what = next((text for start, text in SIGNATURES.items() if magic.startswith(start)), None)
    stream: BinaryIO = cast("BinaryIO", _Unzipped(plain)) if magic.startswith(b"\x1f\x8b") else plain
    head = b""
    try:
        while what is None and len(head) < HEAD and (chunk := cast("io.BufferedReader", stream).read1(1 << 13)):
            head += chunk
    except records.BROKEN as error:
        if not head:
            what = f"a broken gzip file ({error})"
    if what is None and not head.strip():
        what = "empty"
    if what is not None:
        stream.close()
        raise UnreadableFileError(f"{path.name}: is {what}; allowed: {', '.join(FORMATS)}, each plain or as .gz")
    stream.seek(0)
    return stream, head


class _Unzipped(gzip.GzipFile):
    """A gzip file that closes what it reads from."""

    def __init__(self, plain: BinaryIO) -> None:
        super().__init__(fileobj=plain, mode="rb")
        self._plain = plain

    def close(self) -> None:
        super().close()
        self._plain.close()


def encoding_of(head: bytes) -> str:
    """utf-8-sig, utf-16 (with its mark or by its zero bytes), cp1252 where the head cannot be UTF-8, else utf-8."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    sample = head[:4_096]
    if sample[1::2].count(0) > len(sample) * 0.4:
        return "utf-16-le"
    if sample[0::2].count(0) > len(sample) * 0.4:
        return "utf-16-be"
    valid = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape").decode(head)
    broken = len(re.findall("[\udc80-\udcff]", valid))
    sound = len(re.findall("[^\x00-\x7f\udc80-\udcff]", valid))
    return "cp1252" if broken > sound else "utf-8"


def detect(name: str, head: str) -> str:
    """The format by content: `<` is JUnit, `[` or `{` is JSON, all else CSV; the name decides between one JSON document and lines."""
    start = head.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return "junit"
    if start.startswith("[") and not re.match(r"\[[^\]\n]*\]\s*\n\s*[\[{]", start):
        return "json"
    if not start.startswith(("{", "[")):
        return "csv"
    if re.search(r"\.(jsonl|ndjson)(\.gz)?$", name.lower()):
        return "jsonl"
    first, _, rest = start.partition("\n")
    try:
        jsonl.parse(first)
    except ValueError:
        return "jsonl" if re.match(r"\s*\{\s*\"", rest) and first.rstrip().endswith("}") else "json"
    return "jsonl" if rest.strip() or len(start) < HEAD // 4 else "json"


def _as_text(stream: BinaryIO, encoding: str, chosen: str) -> TextIO:
    if encoding == "cp1252" and chosen != "csv":
        encoding = "utf-8"  # JSON is UTF-8 by its standard: a line with other bytes is broken, not Western European
    errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"  # an escaped byte is found by check_text
    return io.TextIOWrapper(stream, encoding, errors, newline="")


def _reader(
    opened: BinaryIO | TextIO, head: str, *, chosen: str, mapping: dict[str, str], source: str | None, place: str
) -> Iterator[Record | Reject]:
    if not isinstance(opened, io.TextIOWrapper):
        return junit.read(cast("BinaryIO", opened), source=source or "junit", place=place)
    if chosen == "csv":
        return delimited.read(opened, head, mapping, source=source or "csv", place=place)
    shape = chosen if chosen in jsonl.SHAPES else None
    framing = ("jsonl" if detect(place, head) == "jsonl" else "json") if shape else chosen
    found = jsonl.lines(opened) if framing == "jsonl" else jsonl.document(opened)
    return jsonl.Reader(mapping, source=source or "jsonl", place=place, shape=shape).read(iter(found))


def _guarded(found: Iterator[Record | Reject], opened: BinaryIO | TextIO) -> Iterator[Record | Reject]:
    """Give the records; a file that breaks off ends with one reject in place of an exception."""
    count = 0
    try:
        for item in found:
            count = item.index + 1
            yield item
    except records.BROKEN as error:
        yield Reject(count, f"the file ends here: {records.breakage(error)}")
    finally:
        opened.close()
