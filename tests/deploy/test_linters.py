"""The Dockerfiles and the shell in deploy/, held against hadolint and shellcheck; each is seen to find a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.trees import ROOT
from tests.deploy.tools import DEPLOY, run

DOCKERFILES = sorted(path for path in DEPLOY.glob("Dockerfile*") if path.suffix != ".dockerignore")
SCRIPTS = [*sorted(DEPLOY.glob("*.sh")), ROOT / ".ci/run"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_is_clean(file: Path) -> None:
    done = run("hadolint", file)
    assert not done.returncode, done.stdout


def test_hadolint_finds_a_planted_fault(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(DOCKERFILES[0].read_text() + "RUN cd /tmp && apt-get install curl\n")
    done = run("hadolint", file)
    assert done.returncode and "DL3008" in done.stdout


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_clean(file: Path) -> None:
    done = run("shellcheck", file)
    assert not done.returncode, done.stdout


def test_shellcheck_finds_a_planted_fault(tmp_path: Path) -> None:
    file = tmp_path / "script.sh"
    file.write_text(SCRIPTS[0].read_text() + "for each in $(ls *.py); do rm $each; done\n")
    done = run("shellcheck", file)
    assert done.returncode and "SC2086" in done.stdout
