"""A reader of where the fork's lines stand, which shares nothing with the patch tool."""

from __future__ import annotations

import ast
from dataclasses import dataclass

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Placement:
    """A block's last line of code (the first ones may import what it calls), the scope it stands in and, inside a
    function, the statement that follows it (of a definition: its name alone)."""

    slug: str
    line: str
    scope: str
    following: str


def placements_in(text: str) -> tuple[Placement, ...]:
    """In order of the file. Raises SyntaxError for text that does not compile."""
    tree = ast.parse(text)
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip().startswith("# >>> PATCH "):
            slug = line.split(" PATCH ", 1)[1].split(":")[0]
            end = next(n for n in range(number, len(lines)) if lines[n].strip() == f"# <<< PATCH {slug}") + 1
            last = end - 2
            found.append(Placement(slug, lines[last].strip(), _scope_at(tree, last + 1), _after(tree, end)))
    return tuple(found)


def _scope_at(tree: ast.Module, line: int) -> str:
    """Dotted; a decorator belongs to what it decorates."""
    names, node = [], tree
    while inside := [child for child in _definitions(node) if _start(child) <= line <= (child.end_lineno or 0)]:
        node = inside[0]
        kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else type(node).__name__
        names.append(f"{kind} {node.name}")
    return ".".join(names)


def _definitions(node: ast.AST) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    return [child for child in ast.walk(node) if child is not node and isinstance(child, (ast.ClassDef, *FUNCTIONS))]


def _start(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _after(tree: ast.Module, line: int) -> str:
    """The first statement that begins below that line, inside a function."""
    inner = [
        child
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
        for child in ast.walk(node)
        if isinstance(child, ast.stmt) and child.lineno > line and child is not node
    ]
    first = min(inner, key=lambda node: node.lineno, default=None)
    if first is None:
        return ""
    return first.name if isinstance(first, (ast.ClassDef, *FUNCTIONS)) else ast.unparse(first)
