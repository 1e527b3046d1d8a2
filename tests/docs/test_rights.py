"""A Redis user with the rights that the README lists can run all that the fork asks of Redis in scripts."""

from __future__ import annotations

import re

import pytest

from lab.ways import rights
from litellm.responses.litellm_completion_transformation.redis_session_patch import scripts

SCRIPTS = {name: script for name, script in vars(scripts).items() if isinstance(script, scripts.Script)}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_of_a_script_is_among_the_rights(name: str) -> None:
    used = {f"+{command.lower()}" for command in re.findall(r"redis\.p?call\('([A-Z]+)'", SCRIPTS[name])}
    assert used
    assert used <= set(rights().split())
