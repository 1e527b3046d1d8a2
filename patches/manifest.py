"""What the fork wrote into a tree, kept in the fork's own folder.

By it any version of the fork takes out or replaces any other, with a RECORD or without. One promise makes a killed
run mendable: at every moment each file on disk is, by its hash, one that the manifest on disk names. So the manifest is
written first and removed last, and while one version replaces another it names the files of both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from patches.errors import PatchError
from patches.record import parse_line

FOLDER = "litellm/responses/litellm_completion_transformation/redis_session_patch"
MANIFEST = f"{FOLDER}/manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class Patched:
    """One of upstream's files: its digest before, and those it has with the fork's lines in it.

    `record_line` is what RECORD said of it before, without the line's ending; None where it said nothing.
    """

    before: str
    after: tuple[str, ...]
    record_line: str | None = None


@dataclass(frozen=True)
class Manifest:
    """Digests as RECORD writes them, by path below the target, with `/`. `own` holds the fork's own files.

    `replaces` is the version that a run is just replacing, "" in a manifest that is final. `build` names the own files.
    """

    fork: str
    litellm: str | None
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patched: Mapping[str, Patched] = field(default_factory=dict)
    replaces: str = ""
    build: str = ""

    def over(self, older: Manifest) -> Manifest:
        """The one for the time between: names what this one and the older one do."""
        own = {path: _both(self.own.get(path), older.own.get(path)) for path in {**older.own, **self.own}}
        patched = dict(older.patched)
        for path, mine in self.patched.items():
            theirs = older.patched.get(path)
            patched[path] = replace(mine, after=_both(mine.after, theirs.after if theirs else None))
        return replace(self, own=own, patched=patched, replaces=older.fork)

    def encode(self) -> bytes:
        """The same bytes for the same manifest."""
        patched = {
            path: {"before": each.before, "after": list(each.after), "record_line": each.record_line}
            for path, each in sorted(self.patched.items())
        }
        own = {path: list(digests) for path, digests in sorted(self.own.items())}
        body = {"format": _FORMAT, "fork": self.fork, "build": self.build, "litellm": self.litellm}
        body |= {"replaces": self.replaces, "own": own, "patched": patched}
        return json.dumps(body, indent=1).encode() + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Raises PatchError for what is none, or names files where the fork has no business."""
    try:
        body = json.loads(data)
        if body["format"] != _FORMAT:
            raise PatchError(
                f"{MANIFEST}: is of format {body['format']}, written by fork {body['fork']}; this is format {_FORMAT}",
                "use the tool of that version of the fork",
            )
        own = {_inside(path, FOLDER): _digests(each) for path, each in body["own"].items()}
        patched = {_inside(path, "litellm"): _patched(path, each) for path, each in body["patched"].items()}
        replaces, build = str(body["replaces"]), str(body.get("build", ""))
        return Manifest(str(body["fork"]), body["litellm"], own, patched, replaces, build)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PatchError(f"{MANIFEST}: cannot be read ({type(error).__name__}: {error})") from error


def _patched(path: str, body: Mapping[str, Any]) -> Patched:
    line = body["record_line"]
    if line is not None and (parse_line(line)[0] != path or "\n" in line or "\r" in line):
        raise ValueError(f"record_line is no line about {path}")
    return Patched(str(body["before"]), _digests(body["after"]), line)


def _digests(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("no list of digests")
    return tuple(values)


def _inside(path: str, folder: str) -> str:
    os.fsencode(path)  # raises ValueError for what no file can be called
    parts = PurePosixPath(path).parts
    is_plain = "/".join(parts) == path and ".." not in parts and "\0" not in path
    if not is_plain or path == MANIFEST or not path.startswith(f"{folder}/"):
        raise ValueError(f"{path!r} is not a file in {folder}/")
    return path


def _both(mine: tuple[str, ...] | None, theirs: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(mine or ()), *(theirs or ())]))
