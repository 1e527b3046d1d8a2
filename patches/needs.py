"""What the fork uses of LiteLLM, declared in needs.txt and found on the syntax trees: a lost name is an error."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from patches.errors import AnchorError, PatchError
from patches.releases import version_number
from patches.source import Function, definition_at, names_bound_in, parse_module, walk_own_scope

Scope = ast.Module | ast.ClassDef | Function


@dataclass(frozen=True)
class Need:
    """One line of needs.txt, which says what the kinds are. `scope` is "" for the module."""

    file: str
    scope: str
    kind: str
    names: tuple[str, ...]
    since: str = ""
    until: str = ""

    def concerns(self, version: str | None) -> bool:
        number = version_number(version)
        return not (
            (self.since and number < version_number(self.since))
            or (self.until and number >= version_number(self.until))
        )


@lru_cache(maxsize=1)
def read_needs() -> tuple[Need, ...]:
    lines = files("patches").joinpath("needs.txt").read_text(encoding="ascii").splitlines()
    found, file = [], ""
    for line in filter(None, (line.partition("#")[0].rstrip() for line in lines)):
        if not line.startswith(" "):
            file = line
            continue
        scope, _, said = line.strip().partition(": ")
        kind, *words = said.split()
        limits = {"since": "", "until": ""}
        while len(words) > 1 and words[-2] in limits:
            limits[words[-2]] = words[-1]
            del words[-2:]
        found.append(Need(file, "" if scope == "module" else scope, kind, tuple(words), **limits))
    return tuple(found)


def needed_files() -> tuple[str, ...]:
    return tuple(dict.fromkeys(need.file for need in read_needs()))


def unmet_needs(
    pristine: Mapping[str, bytes], version: str | None, needs: Iterable[Need] | None = None
) -> Iterator[PatchError]:
    """One error for each need, by default of all, that this release does not meet."""
    for need in read_needs() if needs is None else needs:
        if need.concerns(version):
            try:
                _check(need, pristine)
            except PatchError as error:
                yield error


def _check(need: Need, pristine: Mapping[str, bytes]) -> None:
    if need.file not in pristine:
        raise AnchorError(need.file, "the package", "this file, which the fork uses", "none")
    module = parse_module(need.file, pristine[need.file])
    scope = definition_at(module, need.scope) if need.scope else module.tree
    missing = ""
    if need.kind in _NAMES:
        words, names_in = _NAMES[need.kind]
        there = names_in(scope)
        missing = next((words.format(name) for name in need.names if name not in there), "")
    elif need.kind != "is":
        missing = {"takes": _missing_parameter, "calls": _missing_call}[need.kind](scope, need.names)
    if missing:
        raise AnchorError(need.file, need.scope or "the module", f"{missing}, which the fork uses", "none")


def _missing_parameter(scope: Scope, names: tuple[str, ...]) -> str:
    if not isinstance(scope, Function):
        return "a function"
    arguments = scope.args
    taken = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    found = [name for name in taken if name in names]
    if missing := [name for name in names if name not in found]:
        return f"the parameter {missing[0]}"
    return "" if found == list(names) else f"the parameters {', '.join(names)} in this order"


def _missing_call(scope: Scope, names: tuple[str, ...]) -> str:
    function, *keywords = names
    wanted = {each if each != "*" else None for each in keywords}
    calls = [node for node in ast.walk(scope) if isinstance(node, ast.Call) and _last_name(node.func) == function]
    is_there = any(wanted <= {each.arg for each in call.keywords} for call in calls)
    return "" if is_there else f"a call of {function} with {', '.join(keywords)}"


def _attributes(scope: Scope) -> set[str]:
    """Bound in the class, or assigned to `self` in its methods."""
    stored = [node for node in ast.walk(scope) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return {*names_bound_in(scope), *(node.attr for node in stored if ast.unparse(node.value) == "self")}


def _defined(scope: Scope) -> set[str]:
    """Under no condition, and nowhere taken away."""
    sure = [node for node in scope.body if not isinstance(node, _CONDITIONS)]
    names = [node for node in walk_own_scope(scope) if isinstance(node, ast.Name)]
    return {*names_bound_in(ast.Module(sure, []))} - {node.id for node in names if isinstance(node.ctx, ast.Del)}


def _used(scope: Scope) -> set[str]:
    return {_last_name(node) for node in ast.walk(scope) if isinstance(getattr(node, "ctx", None), ast.Load)}


def _texts(scope: Scope) -> set[str]:
    return {str(node.value) for node in ast.walk(scope) if isinstance(node, ast.Constant)}


def _last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


_CONDITIONS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.With, ast.AsyncWith, ast.Match)
_NAMES: Mapping[str, tuple[str, Callable[[Scope], Collection[str]]]] = {
    "binds": ("the local name {}", names_bound_in),
    "has": ("the attribute {}", _attributes),
    "defines": ("the name {} under no condition", _defined),
    "uses": ("a use of {}", _used),
    "says": ("the text {!r}", _texts),
}
