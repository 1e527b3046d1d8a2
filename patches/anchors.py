"""Where a block goes: places described by structure, found on the syntax tree.

Each anchor must be found exactly once. Anything else is an `AnchorError`, because a patch that
lands in the wrong place is worse than one that does not land.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from patches.errors import AnchorError
from patches.source import Function, Module, definition_at, signature_of, walk_own_scope

DECORATOR, RETURN, TOP, END = "decorator on", "before return in", "top of", "end of file"
_FORMS = {
    "decorator on (.+)": DECORATOR,  # directly above the `async def`, below the decorators that are there already
    "before `return (.+)` in (.+)": RETURN,  # above the one return of that name of the function itself
    "top of (.+)": TOP,  # first thing the function does
    "end of file": END,  # last thing the module does
}


@dataclass(frozen=True)
class Anchor:
    """`text` as in the catalogue. `function` is dotted, "" at the end of a file; `value` is a returned name."""

    text: str
    kind: str
    function: str = ""
    value: str = ""


def anchor_of(text: str) -> Anchor:
    """Raises ValueError for what is none."""
    for form, kind in _FORMS.items():
        if found := re.fullmatch(form, text):
            value, function = (["", "", *found.groups()])[-2:]
            return Anchor(text, kind, function, value)
    raise ValueError(f"{text!r}: expected one of {', '.join(_FORMS)}")


@dataclass(frozen=True)
class Place:
    """Insert before the line of this index (the number of lines means at the end), indented like
    this."""

    line: int
    indent: bytes


def find_place(module: Module, anchor: Anchor) -> Place:
    """Raises AnchorError when the anchor is missing, ambiguous, or shares its line with other
    code."""
    if anchor.kind == END:
        return Place(len(module.lines), b"")
    function = definition_at(module, anchor.function)
    if isinstance(function, ast.ClassDef):
        raise AnchorError(module.path, anchor.function, "a function", "a class")
    if anchor.kind == RETURN:
        return _above(module, anchor, f"one `return {anchor.value}`", _only_return(module, anchor, function))
    if anchor.kind == TOP:
        if body := function.body[ast.get_docstring(function, clean=False) is not None :]:
            return _above(module, anchor, "a body", body[0])
        raise AnchorError(module.path, anchor.function, "a body below the docstring", "none")
    if not isinstance(function, ast.AsyncFunctionDef):
        found = signature_of(anchor.function, function)
        raise AnchorError(module.path, anchor.function, f"`async def {function.name}`", found)
    return _above(module, anchor, "`def`", function, with_decorators=False)


def place_above_definition(module: Module, anchor: Anchor) -> Place:
    """Above the top-level statement that the decorated function is in, decorators included."""
    function = definition_at(module, anchor.function)
    (node,) = (node for node in module.tree.body if node.lineno <= function.lineno <= (node.end_lineno or 0))
    return _above(module, anchor, "a definition", node)


def _only_return(module: Module, anchor: Anchor, function: Function) -> ast.Return:
    returns = [
        node
        for node in walk_own_scope(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Name) and node.value.id == anchor.value
    ]
    if len(returns) != 1:
        where = ", ".join(f"line {node.lineno}" for node in returns)
        found = f"{len(returns)} ({where})" if returns else "none"
        found += f" in {signature_of(anchor.function, function)}"
        raise AnchorError(module.path, anchor.function, f"one `return {anchor.value}`", found)
    return returns[0]


def _above(module: Module, anchor: Anchor, what: str, node: ast.stmt, with_decorators: bool = True) -> Place:
    before = module.lines[node.lineno - 1][: node.col_offset]
    if before.strip(b" \t\f"):
        found = f"other code on line {node.lineno}"
        raise AnchorError(module.path, anchor.function, f"{what} on a line of its own", found)
    decorators = getattr(node, "decorator_list", []) if with_decorators else []
    top = min([node.lineno, *(each.lineno for each in decorators)])
    return Place(top - 1, before.rpartition(b"\f")[2])  # a form feed sets Python's column back to zero
