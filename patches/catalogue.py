"""catalogue.txt as patches: what the fork inserts into LiteLLM, where, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

from patches.anchors import anchor_of
from patches.patch import Edit, Fact, Patch

Stanza = dict[str, str]


def read_catalogue(text: str) -> tuple[Patch, ...]:
    """Raises KeyError for a field that is missing, ValueError for a place that is none."""
    stanzas = list(_stanzas(text))
    tried = tuple(stanzas[0]["Tried"].split())
    facts = [(each["Of"].split(), _fact(each, tried)) for each in stanzas if "Fact" in each]
    found: list[Patch] = []
    for each in stanzas:
        if "Patch" in each:
            its_own = tuple(fact for slugs, fact in facts if each["Patch"] in slugs)
            header = {field: each[name] for name, field in _HEADER.items()}
            found.append(Patch(**header, facts=its_own, edits=()))
        elif "Edit" in each:
            found[-1] = replace(found[-1], edits=(*found[-1].edits, _edit(each)))
    return tuple(found)


def upstream_files() -> tuple[str, ...]:
    """Every upstream file that any release may have patched, in order of writing."""
    return tuple(dict.fromkeys(edit.file for patch in PATCHES for edit in patch.edits))


_NAMES = ("Description", "Bug", "Forwarded", "Applied-Upstream", "Remove-When")
_HEADER = {"Patch": "slug", **{name: name.lower().replace("-", "_") for name in _NAMES}}


def _stanzas(text: str) -> Iterator[Stanza]:
    for block in text.split("\n\n"):
        fields: Stanza = {}
        for line in block.splitlines():
            if line.startswith(" "):
                name = next(reversed(fields))
                fields[name] += "\n" + line[1:]
            elif line and not line.startswith("#"):
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            yield {name: value if name == "Lines" else value.replace("\n", " ") for name, value in fields.items()}


def _edit(fields: Stanza) -> Edit:
    lines = tuple("" if line == "." else line for line in fields.get("Lines", "").split("\n")[1:])
    named = {name.lower(): fields.get(name, "") for name in ("Helper", "Since", "Until")}
    return Edit(fields["Edit"], anchor_of(fields["At"]), fields["Why"], lines, **named)


def _fact(fields: Stanza, tried: tuple[str, ...]) -> Fact:
    limits = (fields.get(name, "") for name in ("Since", "Fixed-In", "Fixed-By"))
    return Fact(fields["Fact"], fields["Scene"], tried, *limits)


PATCHES = read_catalogue(files("patches").joinpath("catalogue.txt").read_text(encoding="ascii"))
