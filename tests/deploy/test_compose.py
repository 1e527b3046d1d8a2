"""deploy/compose.yaml: read by docker compose itself, and what it starts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lab.trees import ROOT
from tests.deploy.tools import DEPLOY, run
from tests.deploy.versions import FORK, UPSTREAM

FILE = DEPLOY / "compose.yaml"
SOURCE = ROOT / "litellm/responses/litellm_completion_transformation/redis_session_patch/values/settings.py"
SETTINGS = [
    f"REDIS_SESSION_PATCH_{name}" for name in re.findall(r'f"\{PREFIX\}(\w+)"', SOURCE.read_text(encoding="utf-8"))
]


def config(file: Path = FILE, **environment: str) -> dict:
    """The project as docker compose sees it, with a shell's environment."""
    command = ("-f", file, "--project-directory", DEPLOY, "config", "--format", "json")
    done = run("docker-compose", *command, **{"LITELLM_MASTER_KEY": "sk-given", **environment})
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "right, wrong, said",
    [
        ("condition: service_healthy", "condition: service_is_healthy", "condition"),
        ("stop_grace_period: 5m", "stop_grace_periods: 5m", "stop_grace_periods"),
        ("networks: [stores]", "networks: [store]", "undefined network store"),
        ("interval: 10s", "interval: ten", "ten"),
    ],
)
def test_compose_finds_a_planted_fault(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert right in text
    file = tmp_path / "compose.yaml"
    file.write_text(text.replace(right, wrong))
    done = run("docker-compose", "-f", file, "config", "-q", LITELLM_MASTER_KEY="sk-given")
    assert done.returncode and said in done.stderr


def test_the_proxy_starts_after_both_its_stores_and_the_conversations_fill_none_of_litellms() -> None:
    services = config()["services"]
    proxy = services["litellm"]
    assert {name: each["condition"] for name, each in proxy["depends_on"].items()} == {
        "redis": "service_healthy", "conversations": "service_healthy"
    }  # fmt: skip
    assert proxy["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    assert proxy["environment"]["REDIS_SESSION_PATCH_URL"] == "redis://conversations:6379/0"
    (mounted,) = proxy["volumes"]
    assert Path(mounted["source"]).is_file() and mounted["read_only"]
    assert mounted["target"] == proxy["command"][proxy["command"].index("--config") + 1]
    compile(proxy["healthcheck"]["test"][-1], "healthcheck", "exec")
    assert (Path(proxy["build"]["context"]) / proxy["build"]["dockerfile"]).is_file()
    assert proxy["image"] == f"litellm-fork:{UPSTREAM}-{FORK}"
    assert proxy["stop_grace_period"] == "5m0s"


@pytest.mark.parametrize("name, policy", [("redis", "noeviction"), ("conversations", "volatile-ttl")])
def test_each_redis_has_a_limit_that_fits_its_policy_and_no_way_in_from_outside(name: str, policy: str) -> None:
    project = config()
    service = project["services"][name]
    options = dict(zip(service["command"][1::2], service["command"][2::2], strict=True))
    assert options["--maxmemory-policy"] == policy
    limit_megabytes = int(service["mem_limit"]) // 2**20
    assert limit_megabytes >= 2 * int(options["--maxmemory"].replace("1gb", "1024mb").removesuffix("mb"))
    assert "ports" not in service
    (network,) = service["networks"]
    assert project["networks"][network]["internal"] is True


def test_every_setting_reaches_the_proxy_from_the_shell_and_unset_ones_keep_their_default() -> None:
    assert SETTINGS
    plain = config()["services"]["litellm"]["environment"]
    assert {name for name in plain if name.startswith("REDIS_SESSION_PATCH_")} == set(SETTINGS)
    assert {plain[name] for name in SETTINGS if name != "REDIS_SESSION_PATCH_URL"} == {None}
    given = {name: f"value-of-{name}" for name in SETTINGS}
    passed = config(**given)["services"]["litellm"]["environment"]
    assert {name: passed[name] for name in SETTINGS} == given


def test_a_master_key_is_asked_for_and_no_secret_stands_on_a_command_line() -> None:
    done = run("docker-compose", "-f", FILE, "config", "-q")
    assert done.returncode and "LITELLM_MASTER_KEY" in done.stderr
    secret = {
        "LITELLM_MASTER_KEY": "sk-s3cret",
        "GEMINI_API_KEY": "s3cret",
        "REDIS_SESSION_PATCH_ENCRYPTION_KEY": "s3cret",
    }
    for service in config(**secret)["services"].values():
        assert "s3cret" not in json.dumps([service.get("command"), service.get("entrypoint"), service["healthcheck"]])


def test_the_fork_is_switched_off_by_one_variable_and_upstreams_image_by_another_file() -> None:
    off = config(REDIS_SESSION_PATCH_ENABLED="false")["services"]["litellm"]["environment"]
    assert off["REDIS_SESSION_PATCH_ENABLED"] == "false"
    upstream = DEPLOY / "compose.upstream.yaml"
    command = ("-f", FILE, "-f", upstream, "config", "--format", "json")
    done = run("docker-compose", *command, LITELLM_MASTER_KEY="sk-given")
    assert not done.returncode, done.stderr
    proxy = json.loads(done.stdout)["services"]["litellm"]
    assert proxy["image"] == f"ghcr.io/berriai/litellm:v{UPSTREAM}"
    assert "build" not in proxy
