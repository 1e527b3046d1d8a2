"""The names that ARCHITECTURE.md gives exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "litellm" / "responses" / "litellm_completion_transformation" / "redis_session_patch"
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
MODULES = {path.stem: ast.parse(path.read_text()) for path in RUNTIME.glob("*.py")}
NAMES = sorted(
    {name for name in re.findall(r"`([a-z_]+(?:\.\w+)+)`", TEXT) if name.split(".")[0] in MODULES and ".py" not in name}
)


def defines(body: list[ast.stmt], names: list[str]) -> bool:
    for node in body:
        targets = [target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)]
        if getattr(node, "name", None) == names[0] or names[0] in targets:
            return len(names) == 1 or defines(getattr(node, "body", []), names[1:])
    return False


def test_there_are_names_to_check() -> None:
    assert len(NAMES) > 15


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_runtime_exists(name: str) -> None:
    module, *rest = name.split(".")
    assert defines(MODULES[module].body, rest)


def test_every_module_of_the_runtime_has_its_place() -> None:
    said = set(re.findall(r"`([a-z_]+)`", TEXT.split("## The runtime's modules")[1].split("## Walk")[0]))
    assert said == set(MODULES)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:patches|compatibility|lab)/[\w./]+)`", TEXT))))
def test_a_path_exists(path: str) -> None:
    assert (ROOT / path).exists()
