"""One server and one set of migrations a test session; a database of its own for every test that
asks.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from lab.database.postgres import Databases, postgres
from lab.database.proxy_env import STANDIN

# Not `prisma`: nothing else in this process may find the stand-in by that name.
STANDIN_NAME = "prisma_standin_under_test"


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    with postgres() as server:
        yield server


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    with databases.fresh() as url:
        yield url


@pytest.fixture(scope="session")
def prisma() -> Iterator[ModuleType]:
    """The stand-in as a module of this process."""
    folder = STANDIN / "prisma"
    spec = importlib.util.spec_from_file_location(
        STANDIN_NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[STANDIN_NAME] = module
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == STANDIN_NAME]:
        del sys.modules[name]
