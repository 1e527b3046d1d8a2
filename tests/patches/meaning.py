"""Ways in which a release may keep a name and lose its meaning, made of needs.txt and the catalogue: each declared
meaning broken once, in the real sources of a release.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from patches.catalogue import PATCHES
from patches.edits import plan_edits
from patches.needs import Need, read_needs, unmet_needs
from patches.source import Definition, Module, definition_at, parse_module
from patches.tried import untried_functions

REFUSED, SAID, PASSED = "refused", "said", "passed"
Change = Callable[[ast.Module], bool]


@dataclass(frozen=True)
class Mutation:
    """`what` is broken in `file`, by a change of its tree that returns whether there was anything to change; it
    changes statements of the module that have `word` in them, and no others."""

    file: str
    what: str
    word: str
    change: Change

    @property
    def name(self) -> str:
        return f"{self.file}: {self.what}"

    def applied_to(self, data: bytes) -> bytes | None:
        """None where there is nothing of this to break. Statements that do not change keep their text."""
        module = parse_module(self.file, data)
        texts = {id(node): _text_of(module, node) for node in module.tree.body}
        is_touched = [self.word.encode() in texts[id(node)] for node in module.tree.body]
        pairs = zip(module.tree.body, is_touched, strict=True)
        tree = ast.Module([copy.deepcopy(node) if touched else node for node, touched in pairs], [])
        before = [ast.dump(node) for node, touched in zip(module.tree.body, is_touched, strict=True) if touched]
        if not self.change(tree) or [ast.dump(node) for node in tree.body if id(node) not in texts] == before:
            return None
        ast.fix_missing_locations(tree)
        return b"\n".join(texts.get(id(node)) or ast.unparse(node).encode() for node in tree.body) + b"\n"


def _text_of(module: Module, node: ast.stmt) -> bytes:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return b"".join(module.lines[first - 1 : node.end_lineno]).rstrip()


def verdict(sources: Mapping[str, bytes], version: str, changed: Mapping[str, bytes]) -> str:
    """What the tool makes of a release with `changed` files."""
    present = {**sources, **changed}
    concerned = tuple(
        replace(patch, edits=tuple(edit for edit in patch.edits if edit.file in changed)) for patch in PATCHES
    )
    plan, misfits = plan_edits(present, version, concerned)
    needs = [need for need in read_needs() if need.file in changed]
    if misfits or list(unmet_needs(present, version, needs)):
        return REFUSED
    return SAID if untried_functions([edit for _, edit in plan.edits], present) else PASSED


def patched(sources: Mapping[str, bytes], version: str, path: str) -> bytes:
    """The file with the fork's lines in it; as it is where this release needs none there."""
    edits = tuple(replace(patch, edits=tuple(edit for edit in patch.edits if edit.file == path)) for patch in PATCHES)
    plan, misfits = plan_edits(sources, version, edits)
    assert not misfits, misfits
    return plan.texts.get(path, sources[path])


def mutations_for(version: str, edited: Mapping[str, list[str]], sources: Mapping[str, bytes]) -> Iterator[Mutation]:
    """`edited`: by file, the functions that the fork's lines stand in."""
    needs = [need for need in read_needs() if need.concerns(version)]
    yield from (mutation for need in needs for mutation in _of_need(need))
    scopes = dict.fromkeys((need.file, need.scope) for need in needs if need.scope)
    scopes |= dict.fromkeys((file, name) for file, names in edited.items() for name in names)
    for file, scope in scopes:
        parts = scope.split(".")
        for dotted in (".".join(parts[: number + 1]) for number in range(len(parts))):
            yield from (
                Mutation(file, f"{dotted} {what}", parts[0], change(dotted)) for what, change in _OF_DEFINITIONS.items()
            )
    for file, names in edited.items():
        for name in names:
            yield from (
                Mutation(file, f"{name} {what}", name.partition(".")[0], change(name))
                for what, change in _OF_BODIES.items()
            )
            of_some = (
                Mutation(file, f"{name} {what}", name.partition(".")[0], change(name))
                for what, change in _OF_SOME_BODIES.items()
            )
            yield from (each for each in of_some if each.applied_to(sources[file]) is not None)


def _of_need(need: Need) -> Iterator[Mutation]:
    title = need.scope or "the module"
    for name in need.names:
        for what, change in _OF_NEEDS.get(need.kind, {}).items():
            if not (need.kind == "calls" and name in (need.names[0], "*")):
                word = need.scope.partition(".")[0] or name
                yield Mutation(need.file, f"{title} {need.kind} {name}: {what}", word, change(need, name))


def _scope(tree: ast.Module, need: Need) -> ast.Module | Definition:
    return _find(tree, need.scope) if need.scope else tree


def _find(tree: ast.Module, dotted: str) -> Definition:
    scope: ast.Module | Definition = tree
    for name in dotted.split("."):
        (scope,) = (node for node in scope.body if isinstance(node, Definition) and node.name == name)
    assert not isinstance(scope, ast.Module)
    return scope


def _body_around(tree: ast.Module, dotted: str) -> list[ast.stmt]:
    owner = dotted.rpartition(".")[0]
    return _find(tree, owner).body if owner else tree.body


def _renamed_parameter(need: Need, name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        for node in ast.walk(_scope(tree, need)):
            if isinstance(node, ast.arg) and node.arg == name:
                node.arg = f"{name}_2"
            elif isinstance(node, ast.Name) and node.id == name:
                node.id = f"{name}_2"
        return True

    return change


def _parameter_became_local(need: Need, name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        function = _scope(tree, need)
        arguments = function.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if each.arg == name:
                each.arg = f"{name}_2"
        function.body.insert(0, ast.parse(f"{name} = {name}_2").body[0])
        return True

    return change


def _renamed_attribute(need: Need, name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        scope, found = _scope(tree, need), False
        for node in ast.walk(scope):
            if isinstance(node, ast.Attribute) and node.attr == name:
                node.attr, found = f"{name}_2", True
        for node in scope.body:
            target = getattr(node, "target", None) or next(iter(getattr(node, "targets", ())), None)
            if isinstance(target, ast.Name) and target.id == name:
                target.id, found = f"{name}_2", True
            elif isinstance(node, Definition) and node.name == name:
                node.name, found = f"{name}_2", True
        return found

    return change


def _renamed_name(need: Need, name: str) -> Change:
    """Wherever it is bound or used there."""

    def change(tree: ast.Module) -> bool:
        found = False
        for node in ast.walk(_scope(tree, need)):
            for field in ("id", "attr", "name", "asname"):
                if getattr(node, field, None) == name and (field != "name" or isinstance(node, Definition | ast.alias)):
                    setattr(node, field, f"{name}_2")
                    found = True
        return found

    return change


def _renamed_keyword(need: Need, name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        found = False
        for node in ast.walk(_scope(tree, need)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == need.names[0]:
                for keyword in node.keywords:
                    if keyword.arg == name:
                        keyword.arg, found = f"{name}_2", True
        return found

    return change


def _another_text(need: Need, name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        found = False
        for node in ast.walk(_scope(tree, need)):
            if isinstance(node, ast.Constant) and node.value == name:
                node.value, found = f"{name}_2", True
        return found

    return change


def _under_type_checking(need: Need, name: str) -> Change:
    """Whatever binds it at the top of the module."""

    def change(tree: ast.Module) -> bool:
        for number, node in enumerate(tree.body):
            if name in _bound_by(node):
                tree.body[number] = ast.If(ast.Name("TYPE_CHECKING", ast.Load()), [node], [])
                return True
        return False

    return change


def _deleted(need: Need, name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        tree.body += ast.parse(f"del {name}").body
        return True

    return change


def _bound_by(node: ast.stmt) -> set[str]:
    if isinstance(node, Definition):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _definition_renamed(dotted: str) -> Change:
    def change(tree: ast.Module) -> bool:
        _find(tree, dotted).name += "_2"
        return True

    return change


def _definition_under_a_condition(dotted: str) -> Change:
    def change(tree: ast.Module) -> bool:
        body, node = _body_around(tree, dotted), _find(tree, dotted)
        body[body.index(node)] = ast.If(ast.Name("TYPE_CHECKING", ast.Load()), [node], [])
        return True

    return change


def _definition_shadowed(dotted: str) -> Change:
    def change(tree: ast.Module) -> bool:
        _body_around(tree, dotted).append(copy.deepcopy(_find(tree, dotted)))
        return True

    return change


def _definition_bound_again(dotted: str) -> Change:
    def change(tree: ast.Module) -> bool:
        name = dotted.rpartition(".")[2]
        _body_around(tree, dotted).extend(ast.parse(f"{name} = another({name})").body)
        return True

    return change


def _definition_bound_again_under_a_condition(dotted: str) -> Change:
    def change(tree: ast.Module) -> bool:
        name = dotted.rpartition(".")[2]
        _body_around(tree, dotted).extend(ast.parse(f"if premium:\n    from premium import {name}").body)
        return True

    return change


def _definition_moved_into_another(dotted: str) -> Change:
    def change(tree: ast.Module) -> bool:
        body, node = _body_around(tree, dotted), _find(tree, dotted)
        outer = ast.parse("class Outer:\n    pass").body[0]
        assert isinstance(outer, ast.ClassDef)
        outer.body = [node]
        body[body.index(node)] = outer
        return True

    return change


def _returns_early(name: str) -> Change:
    """The usual path does not come by the fork's lines any more."""

    def change(tree: ast.Module) -> bool:
        _find(tree, name).body[0:0] = ast.parse("if usual():\n    pass\n").body
        return True

    return change


def _wrapped(name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        function = _find(tree, name)
        function.body = [ast.With([ast.withitem(ast.Name("anything", ast.Load()))], function.body)]
        return True

    return change


def _decorated(name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        _find(tree, name).decorator_list.insert(0, ast.Name("cached", ast.Load()))
        return True

    return change


def _synchronous(name: str) -> Change:
    def change(tree: ast.Module) -> bool:
        function = _find(tree, name)
        if not isinstance(function, ast.AsyncFunctionDef):
            return False
        body = _body_around(tree, name)
        fields = {field: getattr(function, field) for field in function._fields}
        body[body.index(function)] = ast.FunctionDef(**fields)
        return True

    return change


def _return_is_rare(name: str) -> Change:
    """Each return of a name, under a condition; another way out is below it."""

    def change(tree: ast.Module) -> bool:
        found = False
        for node in ast.walk(_find(tree, name)):
            for statements in (getattr(node, "body", None), getattr(node, "orelse", None)):
                for each in [*statements] if isinstance(statements, list) else ():
                    if isinstance(each, ast.Return) and isinstance(each.value, ast.Name):
                        at = statements.index(each)
                        rare = ast.If(ast.Name("rare", ast.Load()), [each], [])
                        statements[at : at + 1] = [rare, *ast.parse("return_ = 1\nwhile True: pass").body]
                        found = True
        return found

    return change


_OF_NEEDS: Mapping[str, Mapping[str, Callable[[Need, str], Change]]] = {
    "takes": {"renamed": _renamed_parameter, "a local name now": _parameter_became_local},
    "binds": {"renamed": _renamed_name},
    "has": {"renamed": _renamed_attribute},
    "defines": {"renamed": _renamed_name, "under TYPE_CHECKING": _under_type_checking, "deleted": _deleted},
    "uses": {"another is used": _renamed_name},
    "calls": {"renamed": _renamed_keyword},
    "says": {"another text": _another_text},
}
_OF_DEFINITIONS: Mapping[str, Callable[[str], Change]] = {
    "is renamed": _definition_renamed,
    "is under TYPE_CHECKING": _definition_under_a_condition,
    "is defined twice": _definition_shadowed,
    "is bound again": _definition_bound_again,
    "is imported over, under a condition": _definition_bound_again_under_a_condition,
    "is in another class": _definition_moved_into_another,
}
_OF_BODIES: Mapping[str, Callable[[str], Change]] = {
    "begins otherwise": _returns_early,
    "is wrapped in a block": _wrapped,
    "has another decorator": _decorated,
}
# Not every function has something for these.
_OF_SOME_BODIES: Mapping[str, Callable[[str], Change]] = {
    "is synchronous": _synchronous,
    "returns the name on a rare path": _return_is_rare,
}


def edited_functions(sources: Mapping[str, bytes], version: str) -> dict[str, list[str]]:
    """By file, the functions that the fork's lines stand in, in this release; sorted, for they name tests, which every
    worker must find in one order.
    """
    plan, misfits = plan_edits(sources, version)
    assert not misfits, misfits
    found: dict[str, set[str]] = {}
    for _, edit in plan.edits:
        if edit.anchor.function:
            definition_at(parse_module(edit.file, sources[edit.file]), edit.anchor.function)
            found.setdefault(edit.file, set()).add(edit.anchor.function)
    return {file: sorted(names) for file, names in found.items()}
