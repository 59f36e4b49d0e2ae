"""Databases that no program writes: pages of SQLite's file format, put together by hand, which share what they hold."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

PAGE = 1024


def varint(number: int) -> bytes:
    """Return a number as SQLite writes it."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def record(*values: object) -> bytes:
    """Return the payload of a row."""
    types, body = b"", b""
    for value in values:
        match value:
            case None:
                types += varint(0)
            case int():
                types += varint(6)
                body += struct.pack(">q", value)
            case str():
                text = value.encode()
                types += varint(13 + 2 * len(text))
                body += text
            case int_type, int(length):  # a text of so many bytes, which lie elsewhere
                assert int_type == "text"
                types += varint(13 + 2 * length)
            case _:
                raise TypeError(value)
    return varint(len(types) + 1) + types + body


def local_bytes(payload: int, page: int = PAGE) -> int:
    """Return how many bytes of a payload lie in the page of its row."""
    if payload <= page - 35:
        return payload
    least = (page - 12) * 32 // 255 - 23
    found = least + (payload - least) % (page - 4)
    return found if found <= page - 35 else least


def row(number: int, payload: bytes, *, length: int | None = None, overflow: int = 0) -> bytes:
    """Return a cell of a table: a row whose payload is `length` bytes long and goes on in page `overflow`."""
    whole = len(payload) if length is None else length
    local = payload.ljust(local_bytes(whole), b"a")[: local_bytes(whole)]
    return varint(whole) + varint(number) + local + (struct.pack(">I", overflow) if whole > len(local) else b"")


def leaf(cells: Sequence[bytes], *, first: bool = False) -> bytes:
    """Return a page of rows; the `first` page has the file's header, which is added later, before it."""
    place, at = [], PAGE
    content = bytearray(PAGE)
    for cell in cells:
        at -= len(cell)
        content[at : at + len(cell)] = cell
        place.append(at)
    start = 100 if first else 0
    head = struct.pack(">BHHHB", 13, 0, len(cells), at, 0) + b"".join(struct.pack(">H", one) for one in place)
    assert start + len(head) <= at, "the rows do not fit"
    content[start : start + len(head)] = head
    return bytes(content)


def interior(children: Sequence[tuple[int, int]], last: int) -> bytes:
    """Return a page of a tree: pages, each with the highest id below it, and the page of what is above."""
    cells = [struct.pack(">I", page) + varint(number) for page, number in children]
    content = bytearray(PAGE)
    at, place = PAGE, []
    for cell in cells:
        at -= len(cell)
        content[at : at + len(cell)] = cell
        place.append(at)
    head = struct.pack(">BHHHBI", 5, 0, len(cells), at, 0, last) + b"".join(struct.pack(">H", one) for one in place)
    assert len(head) <= at, "the children do not fit"
    content[: len(head)] = head
    return bytes(content)


def endless(page: int) -> bytes:
    """Return a page of a long value that goes on in itself; SQLite takes it for as many pages as the file has."""
    return struct.pack(">I", page).ljust(PAGE, b"a")


def write(path: Path, tables: Sequence[tuple[str, int, str]], pages: Sequence[bytes]) -> None:
    """Write a file of tables (name, page of its tree, SQL) and of the pages after the first."""
    master = [row(number, record("table", name, name, root, sql)) for number, (name, root, sql) in enumerate(tables, 1)]
    first = bytearray(leaf(master, first=True))
    first[:100] = struct.pack(
        ">16sHBBBBBBIIIIIIIIIIII20xII",
        b"SQLite format 3\0", PAGE, 1, 1, 0, 64, 32, 32, 1, len(pages) + 1, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0, 1, 3_040_001,
    )  # fmt: skip
    path.write_bytes(bytes(first) + b"".join(pages))


def loop(child: int, *, times: int = 90) -> bytes:
    """Return a page of a tree below which the same page lies again and again."""
    return interior([(child, number) for number in range(1, times + 1)], child)


CTF_LABELS = ("_micObj._micName", "_micObj._filename", "_psdFile", "_defocusU", "_defocusV")
CREATION = "2026-11-23 20:29:31"
SIZE = 8
"""Pages of a set that is crafted here."""


def classes() -> list[bytes]:
    """Return the rows that say which column of a set of CTFs is what."""
    named = enumerate(CTF_LABELS, 1)
    return [row(number, record(None, label, f"c{number:02d}", "String")) for number, label in named]


def ctf_set(path: Path, objects: Sequence[bytes], *, size: int, of_classes: bytes | None = None) -> None:
    """Write a set of CTFs, whose texts are the columns c01 to c03; `objects` are the pages of its items from page 5."""
    columns = ", ".join(f"c{number:02d}" for number in range(1, len(CTF_LABELS) + 1))
    tables = [
        ("Properties", 3, "CREATE TABLE Properties (key TEXT, value TEXT)"),
        ("Classes", 4, "CREATE TABLE Classes (id INTEGER PRIMARY KEY, label_property, column_name, class_name)"),
        ("Objects", 5, f"CREATE TABLE Objects (id INTEGER PRIMARY KEY, enabled, label, comment, creation, {columns})"),
    ]
    properties = leaf([row(1, record("self", "SetOfCTF")), row(2, record("_size", str(size)))])
    pages = [endless(2), properties, of_classes or leaf(classes()), *objects]
    write(path, tables, pages + [bytes(PAGE)] * (SIZE - 1 - len(pages)))


def text_row(number: int, length: int) -> bytes:
    """Return an item with three texts of so many bytes each, or a few more, which all lie in page 2."""
    for more in range(PAGE):
        texts = [("text", length + more), ("text", length), ("text", length)]
        head = record(None, 1, "", "", CREATION, *texts, None, None)
        whole = len(head) + sum(bytes_ for _, bytes_ in texts)
        if local_bytes(whole) < 110:
            return row(number, head, length=whole, overflow=2)
    raise AssertionError("no such row")
