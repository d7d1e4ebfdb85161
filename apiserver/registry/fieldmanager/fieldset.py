"""Represent sets of fields by their FieldsV1 documents, as managedFields hold them.

A tree is a dict from path elements (see `elements`) to subtrees. A subtree {} means that the field
is a member. A subtree with the key "." means that the field is a member and has members below. A
subtree without "." means that only fields below are members. The root {} is the empty set.

So a stored document is used without parsing, and set operations visit only the parts that both
sides have. Trees never change: results share parts with their operands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver.registry.fieldmanager.elements import canonical, render, sort_key

Tree = dict[str, Any]
"""A dict[str, Tree]."""

Path = tuple[str, ...]
"""The path elements from the object's root, such as ("f:metadata", "f:labels", "f:app")."""


class FieldSet:
    """An immutable set of fields; operations return new sets.

    Creating a set from a tree is cheap, because the tree is not examined."""

    __slots__ = ("tree",)

    def __init__(self, tree: Tree) -> None:
        """Create the set of a canonical tree: one from this module, or a stored one. See also
        `parse`."""
        self.tree = tree

    @classmethod
    def parse(cls, document: object) -> FieldSet:
        """Return the set of a client's FieldsV1 document in canonical form. Raises ValueError."""
        return cls({element: node for element, node in _parsed(document).items() if element != "."})

    @classmethod
    def of(cls, *paths: Path) -> FieldSet:
        """Return the set with these members. Their parents are not members."""
        found = EMPTY
        for path in paths:
            tree: Tree = {}
            for element in reversed(path):
                tree = {element: tree}
            found |= cls(tree)
        return found

    def document(self) -> Tree:
        """Return the FieldsV1 document with its keys in order."""
        return _ordered(self.tree)

    def __or__(self, other: FieldSet) -> FieldSet:
        """Return the union."""
        if not self.tree or not other.tree:
            return self if self.tree else other
        return FieldSet(_union(self.tree, other.tree))

    def __and__(self, other: FieldSet) -> FieldSet:
        """Return the intersection."""
        if self.tree.keys().isdisjoint(other.tree):
            return EMPTY
        return FieldSet(_intersection(self.tree, other.tree) or {})

    def __sub__(self, other: FieldSet) -> FieldSet:
        """Return the members of self that are not in other. A member's parents and children
        stay."""
        if self.tree.keys().isdisjoint(other.tree):
            return self
        return FieldSet(_difference(self.tree, other.tree) or {})

    def without(self, other: FieldSet) -> FieldSet:
        """Return the members of self that are neither in other nor below a member of it."""
        if self.tree.keys().isdisjoint(other.tree):
            return self
        return FieldSet(_recursive_difference(self.tree, other.tree) or {})

    def below(self, element: str) -> FieldSet:
        """Return the fields below one element, with paths that begin there."""
        return FieldSet({key: tree for key, tree in self.tree.get(element, {}).items() if key != "."})

    def paths(self) -> Iterator[Path]:
        """Yield all members: of each parent its own members, then those below, in the order of
        `sort_key`."""
        return _paths(self.tree, ())

    def render(self) -> list[str]:
        """Return all members in the format of messages."""
        return [render(path) for path in self.paths()]

    def __contains__(self, path: object) -> bool:
        node: Tree | None = self.tree
        for element in path if isinstance(path, tuple) else ():
            node = None if node is None else node.get(element)
        return bool(path) and node is not None and is_member(node)

    def __bool__(self) -> bool:
        return bool(self.tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and self.tree == other.tree

    def __hash__(self) -> int:
        return hash(frozenset(self.paths()))

    def __repr__(self) -> str:
        return f"FieldSet({self.tree!r})"


EMPTY = FieldSet({})


def is_member(node: Tree) -> bool:
    """Return whether the field of a subtree is itself a member."""
    return not node or "." in node


def _parsed(document: object) -> Tree:
    """Return the canonical subtree of a client's document.

    A field with nothing below, or nothing that is understood, is a member."""
    if not isinstance(document, dict):
        raise ValueError("fieldsV1 must consist of JSON objects")
    found: Tree = {}
    for text, below in document.items():
        element = "." if text == "." else canonical(text)
        if element is not None:
            tree = {} if element == "." else _parsed(below)
            found[element] = _union(found[element], tree) if element in found else tree
    return _canonical_tree(found) or {}


def _canonical_tree(node: Tree) -> Tree | None:
    """Return the canonical form of a new subtree: "." only beside other keys, None if it is
    empty."""
    if not node:
        return None
    return {} if len(node) == 1 and "." in node else node


def _union(left: Tree, right: Tree) -> Tree:
    if left is right:
        return left
    if not left or not right:
        other = right or left
        return other if not other or "." in other else {".": {}, **other}
    found = dict(left)
    for element, node in right.items():
        found[element] = _union(found[element], node) if element in found and element != "." else node
    return found


def _intersection(left: Tree, right: Tree) -> Tree | None:
    if not left or not right:
        return {} if is_member(left) and is_member(right) else None
    if len(left) > len(right):
        left, right = right, left
    found: Tree = {}
    for element, node in left.items():
        other = right.get(element)
        both = None if other is None else _intersection(node, other)
        if both is not None:
            found[element] = both
    return _canonical_tree(found)


def _difference(left: Tree, right: Tree) -> Tree | None:
    if not left:
        return None if is_member(right) else left
    if not right:
        return left if "." not in left else {element: node for element, node in left.items() if element != "."}
    found: Tree | None = None
    for element in right if len(right) < len(left) else list(left):
        node, other = left.get(element), right.get(element)
        if node is None or other is None:
            continue
        rest = _difference(node, other)
        if rest is node:
            continue
        found = dict(left) if found is None else found
        if rest is None:
            del found[element]
        else:
            found[element] = rest
    return left if found is None else _canonical_tree(found)


def _recursive_difference(left: Tree, right: Tree) -> Tree | None:
    if is_member(right):
        return None
    found = dict(left)
    for element, other in right.items():
        node = left.get(element)
        rest = None if node is None else _recursive_difference(node, other)
        if rest is not None:
            found[element] = rest
        elif node is not None:
            del found[element]
    return _canonical_tree(found) if left else left


def _paths(tree: Tree, above: Path) -> Iterator[Path]:
    elements = sorted((element for element in tree if element != "."), key=sort_key)
    for element in elements:
        if is_member(tree[element]):
            yield (*above, element)
    for element in elements:
        yield from _paths(tree[element], (*above, element))


def _ordered(tree: Tree) -> Tree:
    return {element: _ordered(tree[element]) for element in sorted(tree)} if tree else {}
