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
    function = find_function(module, anchor.function)
    find = {DECORATOR: _above_def, RETURN: _before_return, TOP: _top_of_body}[anchor.kind]
    return find(module, anchor, function)


def place_above_definition(module: Module, anchor: Anchor) -> Place:
    """Above the top-level statement that the decorated function is in, decorators included."""
    function = find_function(module, anchor.function)
    (node,) = (node for node in module.tree.body if node.lineno <= function.lineno <= (node.end_lineno or 0))
    top = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return _above(module, anchor.function, "a definition on lines of its own", node, top)


def find_function(module: Module, dotted_name: str) -> Function:
    """Raises AnchorError unless there is exactly one, under no condition."""
    function = definition_at(module, dotted_name)
    if isinstance(function, ast.ClassDef):
        raise AnchorError(module.path, dotted_name, "a function", "a class")
    return function


def _above_def(module: Module, anchor: Anchor, function: Function) -> Place:
    _require_async(module, anchor.function, function)
    return _above(module, anchor.function, "`def` on a line of its own", function, function.lineno)


def _before_return(module: Module, anchor: Anchor, function: Function) -> Place:
    returns = [
        node
        for node in walk_own_scope(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Name) and node.value.id == anchor.value
    ]
    expected = f"one `return {anchor.value}`"
    if len(returns) != 1:
        where = ", ".join(f"line {node.lineno}" for node in returns)
        found = f"{len(returns)} ({where})" if returns else "none"
        found += f" in {signature_of(anchor.function, function)}"
        raise AnchorError(module.path, anchor.function, expected, found)
    return _above(module, anchor.function, f"{expected} on a line of its own", returns[0], returns[0].lineno)


def _top_of_body(module: Module, anchor: Anchor, function: Function) -> Place:
    body = function.body[ast.get_docstring(function, clean=False) is not None :]
    if not body:
        raise AnchorError(module.path, anchor.function, "a body below the docstring", "none")
    top = min([body[0].lineno, *(node.lineno for node in getattr(body[0], "decorator_list", []))])
    return _above(module, anchor.function, "a body on lines of its own", body[0], top)


def _above(module: Module, scope: str, expected: str, node: ast.stmt, lineno: int) -> Place:
    return Place(lineno - 1, _own_indent(module, scope, expected, node))


def _own_indent(module: Module, scope: str, expected: str, node: ast.stmt) -> bytes:
    before = module.lines[node.lineno - 1][: node.col_offset]
    if before.strip(b" \t\f"):
        raise AnchorError(module.path, scope, expected, f"other code on line {node.lineno}")
    return before.rpartition(b"\f")[2]  # a form feed sets Python's column back to zero


def _require_async(module: Module, name: str, function: Function) -> None:
    if not isinstance(function, ast.AsyncFunctionDef):
        raise AnchorError(module.path, name, f"`async def {function.name}`", signature_of(name, function))
