"""The README's table of settings says what the module does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.trees import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = dict(re.findall(r"^\| `(REDIS_SESSION_PATCH_\w+)` \| (.+?) \|", README, re.MULTILINE))

NAMING = [
    "README.md", "ROLLBACK.md", "UPGRADE.md", "CHANGELOG.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "deploy").rglob("*")) if path.suffix in (".yaml", ".env")),
]  # fmt: skip


@pytest.fixture(scope="module")
def settings():
    from litellm.responses.litellm_completion_transformation.redis_session_patch.values import settings

    return settings


def test_the_table_names_every_setting_and_no_other(settings) -> None:
    assert TABLE
    assert settings.unknown_settings(dict.fromkeys(TABLE, "")) == ()
    named = set(re.findall(r'f"\{PREFIX\}(\w+)"', Path(settings.__file__).read_text(encoding="utf-8")))
    assert set(TABLE) == {settings.PREFIX + name for name in named}


def test_the_defaults_shown_are_the_defaults(settings) -> None:
    shown = {name: value.strip("`") for name, value in TABLE.items() if value != "unset"}
    assert settings.read_settings(shown) == settings.Settings()
    unset = {name for name, value in TABLE.items() if value == "unset"}
    assert unset == {
        f"REDIS_SESSION_PATCH_{name}"
        for name in ("URL", "ENCRYPTION_KEY", "MAX_AGE", "MAX_OWNER_BYTES", "COMPACTION_MODEL", "COMPACTION_PROMPT")
    }
    assert settings.Settings().url is None
    assert settings.Settings().encryption_keys == ()


@pytest.mark.parametrize("document", NAMING)
def test_every_setting_named_in_a_file_is_one(document: str) -> None:
    named = set(re.findall(r"REDIS_SESSION_PATCH_[A-Z]\w*", (ROOT / document).read_text(encoding="utf-8")))
    assert named <= set(TABLE)
