"""The patch tool's two doors, behind one face: its functions, and its command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from compatibility.registry import ROOT
from patches import PatchError, Target, apply_patches, look_at, open_target, plan_apply, revert_patches
from patches.errors import UNTRIED

API, COMMAND = "API", "command"
_Result = TypeVar("_Result")


class ToolRefused(Exception):
    """The tool said no; the text is its sentence."""


class Tool(Protocol):
    """Every method raises ToolRefused when the tool says no. `apply` returns whether it wrote
    anything."""

    def check(self) -> None: ...
    def apply(self) -> bool: ...
    def revert(self) -> None: ...


class Functions:
    """In this process. `own`: the fork's files, read once, so that one run is about one fork."""

    def __init__(self, root: Path, own: Mapping[str, bytes]) -> None:
        self._own = own
        self._root = root

    def check(self) -> None:
        self._do(lambda target: plan_apply(look_at(target, self._own)))

    def apply(self) -> bool:
        return not self._do(lambda target: apply_patches(target, self._own)).is_empty

    def revert(self) -> None:
        self._do(lambda target: revert_patches(target, self._own))

    def _do(self, act: Callable[[Target], _Result]) -> _Result:
        try:
            return act(open_target(self._root))
        except PatchError as error:
            raise ToolRefused("; ".join((error.sentence, *error.more))) from error


class CommandLine:
    """`python -m patches …`, from the repository, with this Python; `status` must agree each time."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self) -> None:
        self._run("check", accepted=(0, UNTRIED))

    def apply(self) -> bool:
        wrote = "nothing to do" not in self._run("apply", "--accept-untried")
        self._expect("patched")
        return wrote

    def revert(self) -> None:
        self._run("revert")
        self._expect("pristine")

    def _expect(self, state: str) -> None:
        found = json.loads(self._run("status", "--json"))["state"]
        if found != state:
            raise ToolRefused(f"status says {found} where the tree is {state}")

    def _run(self, *arguments: str, accepted: Sequence[int] = (0,)) -> str:
        command = [sys.executable, "-m", "patches", *arguments, "--target", str(self._root)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode not in accepted:
            lines = [line[7:] for line in done.stderr.splitlines() if line.startswith("error: ")]
            raise ToolRefused("; ".join(lines) or f"`patches {arguments[0]}` ended with {done.returncode}")
        return done.stdout


def open_tool(through: str, root: Path, own: Mapping[str, bytes]) -> Tool:
    return CommandLine(root) if through == COMMAND else Functions(root, own)
