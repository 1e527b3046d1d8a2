"""Where a block goes: places described by structure, found on the syntax tree.

Each anchor must be found exactly once. Anything else is an `AnchorError`, because a patch that
lands in the wrong place is worse than one that does not land.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from patches.errors import AnchorError
from patches.source import (
    Function,
    Module,
    functions_at,
    names_bound_in,
    seen_elsewhere,
    signature_of,
    walk_own_scope,
)


@dataclass(frozen=True)
class DecoratorOn:
    """Directly above the `async def`, below the decorators that are there already."""

    function: str


@dataclass(frozen=True)
class BeforeReturn:
    """Above the one `return <value>` of the function itself; `needs` are local names the lines
    use."""

    function: str
    value: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TopOfBody:
    """First thing the function does; `needs` are local names the lines use."""

    function: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class EndOfFile:
    """Last thing the module does; `needs` are module-level names the lines use."""

    needs: tuple[str, ...] = ()


Anchor = DecoratorOn | BeforeReturn | TopOfBody | EndOfFile


@dataclass(frozen=True)
class Place:
    """Insert before the line of this index (the number of lines means at the end), indented like
    this."""

    line: int
    indent: bytes


def find_place(module: Module, anchor: Anchor) -> Place:
    """Raises AnchorError when the anchor is missing, ambiguous, or shares its line with other
    code."""
    if isinstance(anchor, EndOfFile):
        _require(module, "the module", anchor.needs, module.tree)
        return Place(len(module.lines), b"")
    function = find_function(module, anchor.function)
    if isinstance(anchor, DecoratorOn):
        return _above_def(module, anchor, function)
    _require(module, anchor.function, anchor.needs, function)
    if isinstance(anchor, BeforeReturn):
        return _before_return(module, anchor, function)
    return _top_of_body(module, anchor, function)


def describe(anchor: Anchor) -> str:
    """A few words for people."""
    if isinstance(anchor, DecoratorOn):
        return f"decorator on {anchor.function}"
    if isinstance(anchor, BeforeReturn):
        return f"before `return {anchor.value}` in {anchor.function}"
    if isinstance(anchor, TopOfBody):
        return f"top of {anchor.function}"
    return "end of file"


def place_above_definition(module: Module, anchor: DecoratorOn) -> Place:
    """Above the top-level statement that the decorated function is in, decorators included."""
    function = find_function(module, anchor.function)
    (node,) = (node for node in module.tree.body if node.lineno <= function.lineno <= (node.end_lineno or 0))
    top = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return _above(module, anchor.function, "a definition on lines of its own", node, top)


def find_function(module: Module, dotted_name: str) -> Function:
    """Raises AnchorError, with the signatures seen elsewhere, unless there is exactly one."""
    matches = functions_at(module.tree, dotted_name)
    if len(matches) == 1:
        return matches[0]
    owner = dotted_name.rpartition(".")[0]
    scope = f"class {owner}" if owner else "the module"
    if matches:
        found = f"{len(matches)}: " + ", ".join(signature_of(dotted_name, match) for match in matches)
    else:
        elsewhere = seen_elsewhere(module.tree, dotted_name)
        found = "none" + (f", but {', '.join(elsewhere)}" if elsewhere else "")
    name = dotted_name.rpartition(".")[2]
    raise AnchorError(module.path, scope, f"one function {name}", found)


def _above_def(module: Module, anchor: DecoratorOn, function: Function) -> Place:
    _require_async(module, anchor.function, function)
    return _above(module, anchor.function, "`def` on a line of its own", function, function.lineno)


def _before_return(module: Module, anchor: BeforeReturn, function: Function) -> Place:
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


def _top_of_body(module: Module, anchor: TopOfBody, function: Function) -> Place:
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


def _require(module: Module, scope: str, needs: tuple[str, ...], node: Function | ast.Module) -> None:
    missing = [name for name in needs if name not in names_bound_in(node)]
    if missing:
        found = "none" if isinstance(node, ast.Module) else f"none in {signature_of(scope, node)}"
        raise AnchorError(module.path, scope, f"the name {missing[0]}, which the inserted lines use", found)
