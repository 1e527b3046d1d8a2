"""What the fuzzer found worth keeping: each input is read again, and is a miss or what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from .target import read

CORPUS = sorted(Path(__file__).with_name("corpus").iterdir())


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name[:12])
def test_an_input_of_the_fuzzer_is_read_or_is_a_miss(file: Path) -> None:
    read(file.read_bytes())


def test_there_is_a_corpus() -> None:
    assert {file.read_bytes()[:1] for file in CORPUS} == {b"I", b"V", b"P", b"T"}
