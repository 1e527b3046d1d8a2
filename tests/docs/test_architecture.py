"""The names that ARCHITECTURE.md gives exist, and its examples are what the runtime makes."""

from __future__ import annotations

import ast
import base64
import re
from pathlib import Path

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import (
    conversation_keys,
    key_prefix,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import place_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import decode_turns

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "litellm" / "responses" / "litellm_completion_transformation" / "redis_session_patch"
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
MODULES = {path.stem: ast.parse(path.read_text()) for path in RUNTIME.glob("*/*.py")}
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


def test_the_place_in_the_id_is_that_of_the_keys() -> None:
    (inner,) = re.findall(r"`(litellm:custom_llm_provider:[^`]+)`", TEXT)
    place = place_of(f"resp_{base64.b64encode(inner.encode()).decode()}")
    assert place is not None
    assert all(f"`{key}`" in TEXT for key in conversation_keys(key_prefix(None), place.conversation))
    assert f"member `{place.turn}`" in TEXT


def test_the_example_of_a_turn_is_one() -> None:
    (said,) = re.findall(r'`(\{"v":.*?\})`', TEXT)
    before = '{"v":3,"input":"hi","instructions":"Be kind."}'
    _, turn = decode_turns("{}\n\n{}\n\n".format(before, said.replace("…", "")).encode())
    assert (turn.items, turn.instructions, turn.maker) == ("hello", "Be kind.", "claude")
    assert turn.answer == ({"role": "assistant", "content": "Hi."},)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:patches|compatibility|lab)/[\w./]+)`", TEXT))))
def test_a_path_exists(path: str) -> None:
    assert (ROOT / path).exists()
