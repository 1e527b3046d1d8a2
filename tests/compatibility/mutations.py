"""Ways in which upstream may change a source, as functions from text to text; and a reader of where
the fork's lines stand, which shares nothing with the patch tool."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutation:
    """`change` returns the new text, or None where it has nothing to change there.

    `fits`: whether the fork may still be applied afterwards (it must then stand where it did).
    """

    name: str
    change: Callable[[str], str | None]
    fits: bool


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


def renamed(kind: type | tuple[type, ...], index: int) -> Callable[[str], str | None]:
    """The index-th definition of a kind gets another name; nothing else changes."""

    def change(text: str) -> str | None:
        found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kind)]
        if index >= len(found):
            return None
        node = found[index]
        lines = text.split("\n")
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f" {node.name}", f" {node.name}_v2", 1)
        return "\n".join(lines)

    return change


def class_moved_into_another(text: str) -> str | None:
    """Every top-level class becomes an inner class of a new one."""
    tree = ast.parse(text)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if not classes:
        return None
    lines = text.split("\n")
    for node in reversed(classes):
        span = lines[_start(node) - 1 : node.end_lineno]
        moved = [f"class Moved{node.name}:", *(f"    {line}" if line.strip() else line for line in span)]
        lines[_start(node) - 1 : node.end_lineno] = moved
    return "\n".join(lines)


def second_return(text: str) -> str | None:
    """A second `return responses_api_response` in the function that has one."""
    line = "            return responses_api_response\n        return inner()"
    if line not in text:
        return None
    return text.replace(line, f"{line}\n        return responses_api_response")


def return_of_another_name(text: str) -> str | None:
    if "responses_api_response = LiteLLM" not in text:
        return None
    return text.replace("responses_api_response", "answer")


def made_synchronous(text: str) -> str | None:
    return text.replace("async def", "def").replace("await ", "") if "async def" in text else None


def doubled_classes(text: str) -> str | None:
    tree = ast.parse(text)
    copies = [ast.get_source_segment(text, node) for node in tree.body if isinstance(node, ast.ClassDef)]
    return "\n\n".join([text, *map(str, copies), ""]) if copies else None


def broken_syntax(text: str) -> str | None:
    return text.replace(":\n", "\n", 1) if ":\n" in text else None


def emptied(text: str) -> str | None:
    return "" if text else None


def comments_above(text: str) -> str | None:
    return "# a new licence\n# of two lines\n\n" + text


def code_between(text: str) -> str | None:
    """New functions and classes before everything, with the names of nobody."""
    return text + "\n\nclass Newcomer:\n    async def __aiter__(self):\n        return self\n"


def more_parameters(text: str) -> str | None:
    return text.replace("(self", "(self, *, new_option=None") if "(self)" in text else None


def another_decorator(text: str) -> str | None:
    if "    async def __anext__" not in text:
        return None
    return text.replace("    async def __anext__", "    @staticmethod\n    async def __anext__")


def wrapped_in_try(text: str) -> str | None:
    """The anchored `return` moves into a deeper block."""
    line = "            return responses_api_response\n        return inner()"
    if line not in text:
        return None
    deeper = "            with open(request):\n                return responses_api_response\n        return inner()"
    return text.replace(line, deeper)


HARMLESS = tuple(
    Mutation(change.__name__, change, True)
    for change in (comments_above, code_between, more_parameters, another_decorator, wrapped_in_try)
)
CHANGES = tuple(
    Mutation(change.__name__, change, False)
    for change in (
        class_moved_into_another,
        second_return,
        return_of_another_name,
        made_synchronous,
        doubled_classes,
        broken_syntax,
        emptied,
    )
) + tuple(
    Mutation(f"renamed {kind.__name__} {index}", renamed(kind, index), False)
    for kind in (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for index in range(3)
)
