"""A Python source file as bytes, lines and syntax tree, and questions about it.

Everything works on bytes: `bytes.splitlines` splits where Python's own tokenizer does (LF, CRLF,
CR), while `str.splitlines` also splits at form feeds and U+2028, which would shift every line
number after one.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from patches.errors import PatchError

BOM = b"\xef\xbb\xbf"
Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True)
class Module:
    """A parsed source file; `lines` keep their endings and hold no byte order mark."""

    path: str
    lines: tuple[bytes, ...]
    tree: ast.Module


def split_lines(data: bytes) -> tuple[bytes, list[bytes]]:
    """(byte order mark or empty, the lines with their endings)."""
    bom = BOM if data.startswith(BOM) else b""
    return bom, data[len(bom) :].splitlines(keepends=True)


def line_ending(line: bytes) -> bytes:
    """The ending of one line; empty for a last line without one."""
    for ending in (b"\r\n", b"\n", b"\r"):
        if line.endswith(ending):
            return ending
    return b""


@lru_cache(maxsize=16)
def parse_module(path: str, data: bytes) -> Module:
    """Raises PatchError when this Python cannot parse the file."""
    return Module(path, tuple(split_lines(data)[1]), parse_source(path, data))


def parse_source(path: str, data: bytes) -> ast.Module:
    """As `ast.parse`, for text that is not ours: its warnings stay silent, its errors name the
    file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(data, filename=path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise PatchError(
                f"{path}: this Python cannot parse it ({error})",
                "run the tool with the Python that runs this LiteLLM",
            ) from error


def walk_own_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Everything inside `node`, in source order, without the insides of nested functions and classes."""
    waiting = [*reversed(list(ast.iter_child_nodes(node)))]
    while waiting:
        child = waiting.pop()
        yield child
        if not isinstance(child, _SCOPES):
            waiting.extend(reversed(list(ast.iter_child_nodes(child))))


def functions_in(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """(dotted name, function) for every function in the file, however deep."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        is_named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            yield from functions_in(node, f"{prefix}{node.name}." if is_named else prefix)  # type: ignore[union-attr]


def functions_at(tree: ast.Module, dotted_name: str) -> list[Function]:
    """The functions of exactly that name, directly in their class or module; more than one when redefined."""
    *classes, name = dotted_name.split(".")
    bodies: list[list[ast.stmt]] = [tree.body]
    for wanted in classes:
        bodies = [
            node.body for body in bodies for node in body if isinstance(node, ast.ClassDef) and node.name == wanted
        ]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node for node in functions if node.name == name]


def returns_nothing_early(function: Function) -> bool:
    """Whether the function itself has a `return` without a value."""
    return any(isinstance(node, ast.Return) and node.value is None for node in walk_own_scope(function))


def signature_of(name: str, function: Function) -> str:
    """One line, as a reader would write it."""
    keyword = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    return f"`{keyword} {name}({ast.unparse(function.args)})` at line {function.lineno}"


def seen_elsewhere(tree: ast.AST, dotted_name: str) -> list[str]:
    """Signatures of functions that share the last part of a dotted name, wherever they are in the
    file."""
    last = dotted_name.rpartition(".")[2]
    return [signature_of(name, node) for name, node in functions_in(tree) if node.name == last]


def names_bound_in(node: Function | ast.Module) -> frozenset[str]:
    """A function's parameters and the names it assigns; of a module the names that exist at its end."""
    names: set[str] = set()
    for child in (*walk_own_scope(node), *(ast.walk(node.args) if not isinstance(node, ast.Module) else ())):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.add(child.id)
        elif isinstance(child, ast.arg):
            names.add(child.arg)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(child.name)
        elif isinstance(child, ast.alias):
            names.add(child.asname or child.name.partition(".")[0])
    return frozenset(names)
