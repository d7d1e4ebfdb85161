"""Sets of fields, as managedFields hold them: a set is its FieldsV1 document. Pure.

A tree is a dict from path elements (see `elements`) to subtrees. Of a subtree, {} says "this field is a member", "." among its keys
says "a member, and has members below", and no "." says "only members below". The root {} is the empty set. So the stored document is
used as it is, nothing needs parsing, and set operations walk only where both sides have something. Trees are never changed once made:
results share what they have in common with their operands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.registry.fieldmanager.elements import canonical, render, sort_key

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EMPTY", "FieldSet", "Path", "Tree"]

Tree = dict[str, Any]
"""dict[str, Tree]."""

Path = tuple[str, ...]
"""Path elements from the object's root, such as ("f:metadata", "f:labels", "f:app")."""


class FieldSet:
    """A set of fields. Immutable; operations return new sets. Cheap to make of a tree: it is not looked at."""

    __slots__ = ("tree",)

    def __init__(self, tree: Tree) -> None:
        """Of a tree in canonical form, such as one that this module made or that is stored. See `parse` for what clients send."""
        self.tree = tree

    @classmethod
    def parse(cls, document: object) -> FieldSet:
        """Of a FieldsV1 document that a client sent, brought into canonical form. Raises ValueError."""
        return cls({element: node for element, node in _parsed(document).items() if element != "."})

    @classmethod
    def of(cls, *paths: Path) -> FieldSet:
        """The set with these members; their parents are none."""
        found = EMPTY
        for path in paths:
            tree: Tree = {}
            for element in reversed(path):
                tree = {element: tree}
            found |= cls(tree)
        return found

    def document(self) -> Tree:
        """The FieldsV1 document, its keys in order."""
        return _ordered(self.tree)

    def __or__(self, other: FieldSet) -> FieldSet:
        """Members of either."""
        if not self.tree or not other.tree:
            return self if self.tree else other
        return FieldSet(_union(self.tree, other.tree))

    def __and__(self, other: FieldSet) -> FieldSet:
        """Members of both."""
        if self.tree.keys().isdisjoint(other.tree):
            return EMPTY
        return FieldSet(_intersection(self.tree, other.tree) or {})

    def __sub__(self, other: FieldSet) -> FieldSet:
        """Members of self that are none of other; a member's parents and children stay."""
        if self.tree.keys().isdisjoint(other.tree):
            return self
        return FieldSet(_difference(self.tree, other.tree) or {})

    def without(self, other: FieldSet) -> FieldSet:
        """The recursive difference: members of self that are none of other, nor below one of them."""
        if self.tree.keys().isdisjoint(other.tree):
            return self
        return FieldSet(_recursive_difference(self.tree, other.tree) or {})

    def below(self, element: str) -> FieldSet:
        """What is below one element, seen from there."""
        return FieldSet({key: tree for key, tree in self.tree.get(element, {}).items() if key != "."})

    def paths(self) -> Iterator[Path]:
        """All members; of each parent first its own members and then those further down, both in the order of `sort_key`."""
        return _paths(self.tree, ())

    def render(self) -> list[str]:
        """All members as messages show them."""
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
    """Whether the field that a subtree stands for is itself a member."""
    return not node or "." in node


def _parsed(document: object) -> Tree:
    """The canonical subtree of what a client sent. Where nothing is below, or nothing that is understood, the field is a member."""
    if not isinstance(document, dict):
        raise ValueError("fieldsV1 must consist of JSON objects")
    found: Tree = {}
    for text, below in document.items():
        element = "." if text == "." else canonical(text)
        if element is not None:
            tree = {} if element == "." else _parsed(below)
            found[element] = _union(found[element], tree) if element in found else tree
    return _settled(found) or {}


def _settled(node: Tree) -> Tree | None:
    """The canonical form of a subtree just made: "." only beside others, and None when there is nothing."""
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
    return _settled(found)


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
    return left if found is None else _settled(found)


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
    return _settled(found) if left else left


def _paths(tree: Tree, above: Path) -> Iterator[Path]:
    elements = sorted((element for element in tree if element != "."), key=sort_key)
    for element in elements:
        if is_member(tree[element]):
            yield (*above, element)
    for element in elements:
        yield from _paths(tree[element], (*above, element))


def _ordered(tree: Tree) -> Tree:
    return {element: _ordered(tree[element]) for element in sorted(tree)} if tree else {}
