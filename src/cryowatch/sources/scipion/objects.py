"""The objects of a project or of a run, as the table `Objects` of its database holds them: a tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import SourceBusy, SourceMalformed
from cryowatch.sources.scipion.database import Database
from cryowatch.sources.scipion.files import Stamp
from cryowatch.sources.scipion.scalars import text_of

MOST_OBJECTS = 500_000
"""A project of a thousand runs has half as many."""


@dataclass(frozen=True, slots=True)
class Node:
    """One row of the table `Objects`: an attribute, a run, an output; `creation` is when the row was made, UTC."""

    id: int
    parent: int | None
    name: str
    class_name: str
    value: str | None
    label: str
    creation: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """All objects of a database, by id and by parent."""

    roots: tuple[Node, ...]
    children: Mapping[int, tuple[Node, ...]]
    outputs: Mapping[str, str]
    """RUN.OUTPUT by the id of each object right below a run."""

    def of(self, root: int) -> Tree:
        """Return what belongs to one of the roots alone: its attributes, theirs, and what is right below these."""
        known = [root, *(node.id for node in self.children.get(root, ()))]
        known += [below.id for node in known[1:] for below in self.children.get(node, ())]
        children = {number: self.children[number] for number in known if number in self.children}
        return Tree(tuple(node for node in self.roots if node.id == root), children, self.outputs)

    def values(self, parent: int) -> dict[str, str | None]:
        """Return the attributes of an object by their last name."""
        return {n.name.rpartition(".")[2]: n.value for n in self.children.get(parent, ())}


def tree_of(database: Database, path: Path, found: Stamp, *, most: int = MOST_OBJECTS) -> Tree:
    """Return all objects, in one read: pages could fall on both sides of a commit."""
    tables = database.tables()
    if not tables and not found.settled:
        raise SourceBusy("is just being made", where=path)
    if "Objects" not in tables:
        raise SourceMalformed("holds no table Objects", where=path, remedy="Is this a Scipion project, whole?")
    creation = "creation" if "creation" in database.columns("Objects") else "NULL"
    select = f"SELECT id, parent_id, name, classname, value, label, {creation} FROM Objects NOT INDEXED"
    rows = database.rows(select, most=most)
    children: dict[int, list[Node]] = defaultdict(list)
    roots = []
    before = 0
    for number, parent, name, class_name, value, label, made in rows:
        if type(number) is not int or number <= before:
            raise database.malformed(f"{str(number)[:40]!r} is no id of an object, or is one twice")
        before = number
        text = None if value is None else text_of(value)
        node = Node(number, parent, text_of(name), text_of(class_name), text, text_of(label), text_of(made))
        if parent is None:
            roots.append(node)
        else:
            children[parent].append(node)
    outputs = {str(node.id): node.name for root in roots for node in children.get(root.id, ())}
    return Tree(tuple(roots), {k: tuple(v) for k, v in children.items()}, outputs)
