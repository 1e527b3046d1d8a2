"""Property tests: whatever the bytes of a source look like, revert gives them back and apply
compiles."""

from __future__ import annotations

import ast
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from patches import apply_patches, revert_patches
from patches.anchors import DECORATOR
from patches.blocks import Insertion, insert_blocks, remove_blocks
from patches.catalogue import PATCHES, upstream_files
from patches.edits import plan_edits
from patches.source import split_lines
from tests.patches.trees import (
    NEWEST,
    OWN,
    SESSION,
    SOURCES,
    TRANSPORT,
    make_tree,
    snapshot,
    survey,
    wrong_hashes,
)

TEXTS = {**SOURCES, **NEWEST}
ODD_LINES = (
    "",
    "   ",
    "# \u2028 \u00e9 \x0c page",
    "\x0c",
    "\t# tab",
    "# plain",
    "# \u0085 next line",
    "# \x1c file",
)


@st.composite
def dressed_sources(draw: st.DrawFn) -> dict[str, bytes]:
    """The synthetic sources with odd line endings, tabs, form feeds, comments, byte order marks, no
    last ending."""
    out = {}
    for path in upstream_files():
        lines = TEXTS[path].rstrip("\n").split("\n")
        if draw(st.booleans()):
            lines = [_tabbed(line) for line in lines]
        dice = random.Random(draw(st.integers(0, 2**32)))
        if draw(st.booleans()):
            lines = _with_odd_lines(lines, dice)
        if draw(st.booleans()):
            lines = [
                "\x0c" + line if line.startswith(("class ", "    async def ", "\tasync def ")) else line
                for line in lines
            ]
        endings = draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"], ["\n", "\r\n", "\r"]]))
        text = "".join(line + dice.choice(endings) for line in lines)
        if draw(st.booleans()):
            text = text.rstrip("\r\n")
            text += draw(st.sampled_from(["", "  # last", "\n\t", "\n    # \u00e9"]))
        mark = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
        out[path] = mark + text.encode()
    return out


def _tabbed(line: str) -> str:
    body = line.lstrip(" ")
    depth = len(line) - len(body)
    return "\t" * (depth // 4) + body


def _with_odd_lines(lines: list[str], dice: random.Random) -> list[str]:
    out: list[str] = []
    for line in lines:
        if dice.random() < 0.3:
            out.append(dice.choice(ODD_LINES))
        out.append(line)
    return out


@settings(max_examples=200)
@given(dressed_sources(), st.sampled_from(["1.74.15", "1.80.0", "1.85.7", "1.106.2"]))
def test_taking_the_blocks_out_gives_the_same_bytes(sources: dict[str, bytes], version: str) -> None:
    if version == "1.74.15":
        sources = {path: data for path, data in sources.items() if path != SESSION}
    plan, misfits = plan_edits(sources, version)
    assert misfits == ()
    tells = version == "1.106.2"  # of a connection that broke
    assert set(plan.texts) == {path for path in sources if path != TRANSPORT or not tells}
    for path, patched in plan.texts.items():
        assert remove_blocks(patched) == sources[path]
        assert patched != sources[path]
        compile(patched, path, "exec")
        assert b"".join(patched.split()) != b"".join(sources[path].split())
    decorators = sum(edit.anchor.kind == DECORATOR for _, edit in plan.edits)  # with an import of their own
    assert len(plan.edits) + decorators == sum(text.count(b"# >>> PATCH ") for text in plan.texts.values())


@settings(max_examples=25)
@given(dressed_sources(), st.booleans())
def test_apply_and_revert_on_disk_give_the_same_bytes(sources: dict[str, bytes], with_record: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        target = make_tree(root, sources, with_record=with_record)
        before = snapshot(root)
        apply_patches(target, OWN)
        assert survey(target).state == "patched"
        assert not with_record or wrong_hashes(root) == []
        revert_patches(target, OWN)
        assert snapshot(root) == before


@settings(max_examples=100)
@given(dressed_sources())
def test_blocks_use_the_line_endings_of_their_neighbours(sources: dict[str, bytes]) -> None:
    for path, patched in plan_edits(sources, "1.106.2")[0].texts.items():
        for ending in (b"\r\n", b"\n", b"\r"):
            if set(_endings(sources[path])) == {ending}:
                assert set(_endings(patched)) == {ending}


def _endings(data: bytes) -> list[bytes]:
    return [line[len(line.rstrip(b"\r\n")) :] for line in data.splitlines(keepends=True) if line[-1:] in b"\r\n"]


@settings(max_examples=100)
@given(dressed_sources())
def test_the_patched_program_is_the_old_one_with_calls_of_ours(sources: dict[str, bytes]) -> None:
    for path, patched in plan_edits(sources, "1.106.2")[0].texts.items():
        before, after = (ast.unparse(ast.parse(data)).splitlines() for data in (sources[path], patched))
        rest = iter(after)
        assert all(line in rest for line in before), "every old line is still there, in order"
        assert not any("_patch_" in line for line in before)


@settings(max_examples=200)
@given(st.lists(st.sampled_from([b"x = 1", b"", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\r", b"\x0c", b"# \xe2\x80\xa8"])))
def test_a_block_at_the_end_of_any_text_comes_out_again(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    end = len(split_lines(data)[1])
    for count in (1, 2, 3):
        patched = insert_blocks(data, [Insertion(end, b"", "a-slug", "why", ("first()", "", "second()"))] * count)
        assert remove_blocks(patched) == data
        assert patched.count(b"# >>> PATCH a-slug: why") == patched.count(b"second()") == count
        assert remove_blocks(patched) != patched and remove_blocks(data) == data


def test_a_block_on_the_first_line_stays_behind_the_byte_order_mark() -> None:
    data = b"\xef\xbb\xbfdef f():\r\n    pass\r\n"
    patched = insert_blocks(data, [Insertion(0, b"", "a-slug", "why", ("@decorate",))])
    assert patched.startswith(b"\xef\xbb\xbf# >>> PATCH a-slug: why\r\n@decorate\r\n")
    compile(patched, "x", "exec")
    assert remove_blocks(patched) == data


def test_every_inserted_line_is_ascii_and_no_marker() -> None:
    for patch in PATCHES:
        for edit in patch.edits:
            text = "\n".join([patch.slug, edit.why, *edit.lines])
            assert text.isascii()
            assert "PATCH" not in text
            assert "\n" not in edit.why and "\n" not in "".join(edit.lines)


def test_every_patch_has_a_full_header() -> None:
    for patch in PATCHES:
        for field in ("slug", "description", "bug", "forwarded", "applied_upstream", "remove_when"):
            assert getattr(patch, field)
    assert len({patch.slug for patch in PATCHES}) == len(PATCHES)
