"""What the fork wrote into a tree, kept in the fork's own folder.

By it any version of the fork takes out or replaces any other, with a RECORD or without. One promise makes a killed
run mendable: at every moment each file on disk is, by its hash, one that the manifest on disk names. So the manifest is
written first and removed last, and while one version replaces another it names the files of both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from patches.errors import PatchError

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

    `replaces` is the version that a run is just replacing, "" in a manifest that is final.
    """

    fork: str
    litellm: str | None
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patched: Mapping[str, Patched] = field(default_factory=dict)
    replaces: str = ""

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
        body = {"format": _FORMAT, "fork": self.fork, "litellm": self.litellm, "replaces": self.replaces}
        return json.dumps({**body, "own": own, "patched": patched}, indent=1).encode() + b"\n"


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
        patched = {_inside(path, "litellm"): _patched(each) for path, each in body["patched"].items()}
        return Manifest(str(body["fork"]), body["litellm"], own, patched, str(body["replaces"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PatchError(f"{MANIFEST}: cannot be read ({type(error).__name__}: {error})") from error


def _patched(body: Mapping[str, Any]) -> Patched:
    line = body["record_line"]
    if not isinstance(line, str | None) or (line and ("\n" in line or "\r" in line)):
        raise ValueError("record_line is no line")
    return Patched(str(body["before"]), _digests(body["after"]), line)


def _digests(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("no list of digests")
    return tuple(values)


def _inside(path: str, folder: str) -> str:
    parts = PurePosixPath(path).parts
    if path == MANIFEST or not path.startswith(f"{folder}/") or ".." in parts or "/".join(parts) != path:
        raise ValueError(f"{path!r} is not a file in {folder}/")
    return path


def _both(mine: tuple[str, ...] | None, theirs: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(mine or ()), *(theirs or ())]))
