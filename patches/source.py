"""A Python source file as bytes, lines and syntax tree, and questions about it.

Everything works on bytes: `bytes.splitlines` splits where Python's own tokenizer does (LF, CRLF,
CR), while `str.splitlines` also splits at form feeds and U+2028, which would shift every line
number after one.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from patches.errors import AnchorError, PatchError

BOM = b"\xef\xbb\xbf"
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
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


@lru_cache(maxsize=32)
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


def definition_at(module: Module, dotted_name: str) -> Definition:
    """The function or class of exactly that name: defined once, directly in its class or the module, and nothing else
    is bound to its name there. Raises AnchorError.
    """
    scope: ast.Module | Definition = module.tree
    title = "the module"
    for name in dotted_name.split("."):
        found = [node for node in scope.body if isinstance(node, Definition) and node.name == name]
        others = names_bound_in(scope, without=found)
        if len(found) != 1 or name in others:
            what = f"{len(found)} definitions" + (", and the name is bound otherwise, too" if name in others else "")
            raise AnchorError(module.path, title, f"one definition of {name}, under no condition", what)
        title = name if isinstance(scope, ast.Module) else f"{title}.{name}"
        (scope,) = found
    assert not isinstance(scope, ast.Module)
    return scope


def signature_of(name: str, function: Function) -> str:
    """One line, as a reader would write it."""
    keyword = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    return f"`{keyword} {name}({ast.unparse(function.args)})` at line {function.lineno}"


def names_bound_in(scope: ast.AST, without: Sequence[ast.AST] = ()) -> frozenset[str]:
    """What the scope itself binds, under a condition too; a function's parameters are not among it."""
    names: set[str] = set()
    for child in walk_own_scope(scope):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.add(child.id)
        elif isinstance(child, Definition) and child not in without:
            names.add(child.name)
        elif isinstance(child, ast.alias):
            names.add(child.asname or child.name.partition(".")[0])
    return frozenset(names)
