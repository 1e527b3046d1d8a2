"""The commands and outputs that README.md and ROLLBACK.md show are real."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cost import table
from demo.serve import curl_commands
from lab.proxy import Proxy
from lab.redis_server import RedisServer
from lab.trees import ROOT
from tests.docs.blocks import COMMAND_LANGUAGES, Block, blocks_of, output_pattern
from tests.docs.operators import operator_environment, run_shell

DOCUMENTS = ("README.md", "ROLLBACK.md", "UPGRADE.md", "CHANGELOG.md")
BLOCKS = {name: blocks_of(ROOT / name) for name in DOCUMENTS}
ALL_BLOCKS = [block for blocks in BLOCKS.values() for block in blocks]
COMMANDS = [block for block in ALL_BLOCKS if block.language in COMMAND_LANGUAGES]
SHOWN_ADDRESS = "http://127.0.0.1:4000"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One of our own, whatever the environment names: the documents purge."""
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_every_command_block_runs_or_says_why_not(block: Block) -> None:
    assert block.language == "sh", f"{block}: a block of commands is marked `sh`"
    if block.info not in ("", "proxy"):
        assert block.reason_not_run, f"{block}: neither run nor marked `not run: REASON`"


@pytest.mark.parametrize("block", [block for block in COMMANDS if block.reason_not_run], ids=str)
def test_a_block_that_is_not_run_is_sound_all_the_same(block: Block) -> None:
    parsed = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
    assert not parsed.returncode, parsed.stderr
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{block}: no target {target}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_a_document_do_what_it_shows(document: str, redis: RedisServer, tmp_path: Path) -> None:
    environment = operator_environment(tmp_path, redis)
    if document in ("ROLLBACK.md", "UPGRADE.md"):
        applied = run_shell("python -m patches apply", environment)
        assert not applied.returncode, applied.stdout
    for block in BLOCKS[document]:
        if block.language == "sh" and not block.info:
            done = run_shell(block.text, environment)
            assert not done.returncode, f"{block} ended with {done.returncode}:\n{done.stdout}"
            if block.output is not None:
                assert output_pattern(block.output).fullmatch(done.stdout), f"{block} printed:\n{done.stdout}"


def test_the_check_against_record_finds_changes_and_leftovers(redis: RedisServer, tmp_path: Path) -> None:
    environment = operator_environment(tmp_path, redis)
    (check,) = [block for block in BLOCKS["ROLLBACK.md"] if "import base64, csv, hashlib" in block.text]
    assert run_shell(check.text, environment).stdout.endswith(" 0 differ, 0 left over\n")
    assert not run_shell("python -m patches apply", environment).returncode
    patched = run_shell(check.text, environment).stdout
    assert int(re.search(r"(\d+) left over", patched)[1]) > 0
    assert not run_shell("python -m patches revert", environment).returncode
    assert run_shell(check.text, environment).stdout.endswith(" 0 differ, 0 left over\n")
    package = next(tmp_path.glob("venv/lib/python*/site-packages/litellm"))
    (package / "left_over.py").touch()
    changed = package / "main.py"
    data = changed.read_bytes()
    changed.unlink()  # never through the hard link
    changed.write_bytes(data + b"\n")
    found = run_shell(check.text, environment).stdout
    assert found.endswith("1 differ, 1 left over litellm/main.py litellm/left_over.py\n")


def test_a_purge_as_shown_leaves_other_keys_alone(redis: RedisServer, tmp_path: Path) -> None:
    from redis import Redis

    environment = operator_environment(tmp_path, redis)
    assert not run_shell("python -m patches purge", environment).returncode
    with Redis.from_url(redis.url) as client:
        assert client.keys() == [b"other"]


def test_the_two_requests_of_the_readme_are_those_that_make_serve_prints() -> None:
    (block,) = [block for block in BLOCKS["README.md"] if block.info == "proxy"]
    assert block.text.strip() == curl_commands(SHOWN_ADDRESS)


def test_the_two_requests_of_the_readme_are_one_conversation(proxy: Proxy, provider, tmp_path: Path) -> None:
    for block in [block for block in COMMANDS if block.info == "proxy"]:
        done = run_shell(block.text.replace(SHOWN_ADDRESS, proxy.url), {**os.environ, "NO_PROXY": "*"})
        assert not done.returncode, done.stdout
        texts = [text for message in provider.requests()[-1].conversation for text in message.texts]
        assert "My favourite number is 4711." in texts
        assert "What is my favourite number?" in texts
    shown = re.search(r"Redis session patch [\d.]+ \(build \w+\): active, .*", proxy.log_text())
    assert shown, "the proxy says at start that the patch is active"


def test_the_first_thirty_lines_say_how_to_try_it() -> None:
    head = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30])
    for needed in ("make demo", "make test", "make serve", "previous_response_id", "ROLLBACK.md"):
        assert needed in head
    assert head.count("curl -s ") == 2


def test_the_start_lines_shown_are_the_ones_logged(caplog, monkeypatch) -> None:
    from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import startup
    from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection
    from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings

    active = startup.describe(Settings(), Connection("REDIS_URL", {"url": "redis://your-redis:6379/0"}))
    monkeypatch.setenv("REDIS_SESSION_PATCH_ENABLED", "false")
    with caplog.at_level(logging.INFO):
        caplog.handler.setLevel(logging.INFO)
        startup.logger.addHandler(caplog.handler)
        asyncio.run(startup.announce())
        startup.logger.removeHandler(caplog.handler)
    off = caplog.messages[-1]
    assert re.sub(r"build \w+", "build …", active) in {block.text.strip() for block in BLOCKS["README.md"]}
    assert off in {block.text.strip() for block in BLOCKS["ROLLBACK.md"]}


def anchors_of(document: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_every_path_leads_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(((?!https:)[^)]+)\)", prose):
        name, _, anchor = link.partition("#")
        assert (ROOT / name).exists() and (not anchor or anchor in anchors_of(name or document)), link
    for path in re.findall(r"`((?:deploy|tests|patches|demo)/[\w./-]*)`", prose):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "document, name",
    [
        ("README.md", "before-after"),
        ("README.md", "cost"),
        ("README.md", "faults"),
        ("ROLLBACK.md", "after-revert"),
        ("docs/conformance.md", "conformance"),
    ],
)
def test_a_table_in_a_document_is_the_one_that_was_measured(document: str, name: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    (shown,) = re.findall(f"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    measured = ROOT / "bench" / "results" / f"{name.replace('-', '_')}.md"
    assert shown.strip() == measured.read_text(encoding="utf-8").strip()


def test_the_table_of_costs_is_made_from_the_data() -> None:
    assert table.TABLE.read_text(encoding="utf-8") == table.text()


def test_an_unmarked_difference_in_output_is_noticed() -> None:
    pattern = output_pattern("target    …\n…\nresult    done\n")
    assert pattern.fullmatch("target    /x\na\nb\nresult    done\n")
    assert not pattern.fullmatch("target    /x\nresult    failed\n")
    assert not pattern.fullmatch("target    /x\nresult    done\nmore\n")
