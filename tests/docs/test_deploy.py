"""The files in deploy/: what they build on and what they start. `make image-test` builds an image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.trees import ROOT, installed_release, link_tree, tree

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UPSTREAM = re.search(r'^upstream = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
SCRIPT = DEPLOY / "patch_image.sh"


def instructions(dockerfile: str) -> list[str]:
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)).splitlines()
    return [line for line in lines if line.strip()]


def test_the_image_is_built_on_upstreams_image_of_the_pinned_release() -> None:
    assert f"ARG BASE_IMAGE=ghcr.io/berriai/litellm:v{UPSTREAM}\nFROM ${{BASE_IMAGE}}\n" in DOCKERFILE


@pytest.mark.parametrize("document", ["README.md", "ROLLBACK.md", "deploy/kubernetes.yaml"])
def test_every_image_named_is_of_the_pinned_release(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert set(re.findall(r"litellm(?:-\w+)?:v([\d.]+\d)", text)) == {UPSTREAM}


def test_the_image_keeps_what_the_base_says_about_running() -> None:
    assert {line.split()[0] for line in instructions(DOCKERFILE)} == {"ARG", "FROM", "RUN"}
    assert len([line for line in instructions(DOCKERFILE) if line.startswith("RUN")]) == 1


def test_the_build_gets_the_forks_files_and_nothing_else() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == {"litellm", "patches", "deploy/patch_image.sh"}


def test_the_script_is_plain_shell() -> None:
    for shell in ("sh", "bash"):
        assert subprocess.run([shell, "-n", SCRIPT], check=False).returncode == 0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Like an image with two copies: `app`, the source in the working directory, and an installed one that runs."""
    for name in ("app", "site-packages"):
        link_tree(tree("pristine"), installed_release(), tmp_path / name)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    # As an installer's script does it: the folder of the command, not the working directory, is first on the path.
    (bin_folder / "litellm").write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(1, {str(tmp_path / 'site-packages')!r})\n"
        "import importlib.util\nspec = importlib.util.find_spec('litellm')\n"
        "loader = spec.loader\nloader.get_code('litellm')\nprint('version')\n"
    )
    (bin_folder / "litellm").chmod(0o755)
    return tmp_path


def patch_image(image: Path, command: str = "litellm", target: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{image / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", SCRIPT, ROOT, command, target], cwd=image / "app", env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def is_patched(root: Path) -> bool:
    return (root / "litellm/responses/litellm_completion_transformation/redis_session_patch").is_dir()


def test_the_copy_that_the_command_imports_is_patched_and_no_other(image: Path) -> None:
    done = patch_image(image)
    assert not done.returncode, done.stdout + done.stderr
    assert f"asserted  litellm imports {image.resolve() / 'site-packages'}, which has the fork" in done.stdout
    assert is_patched(image / "site-packages")
    assert not is_patched(image / "app")


def test_patching_a_copy_that_does_not_run_fails_and_names_both(image: Path) -> None:
    done = patch_image(image, target=str(image / "app"))
    assert done.returncode == 1
    patched, runs = image.resolve() / "app", image.resolve() / "site-packages"
    assert f"error: the fork is in {patched}, but `litellm` imports {runs}\nnext:  " in done.stderr


def test_a_command_that_the_image_lacks_is_named(image: Path) -> None:
    done = patch_image(image, command="no-such-litellm")
    assert done.returncode == 1
    assert "this image has no no-such-litellm" in done.stderr


def test_a_command_that_fails_shows_its_error(image: Path) -> None:
    (image / "bin/litellm").write_text(f"#!{sys.executable}\nraise SystemExit('it has no proxy extra')\n")
    done = patch_image(image)
    assert done.returncode == 1
    assert "it has no proxy extra" in done.stderr
    assert "`litellm --version` fails in this image" in done.stderr


def load_all(name: str) -> list[dict]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_compose_starts_the_forked_proxy_after_its_redis() -> None:
    (compose,) = load_all("compose.yaml")
    proxy, redis = compose["services"]["litellm"], compose["services"]["redis"]
    assert (DEPLOY / proxy["build"]["context"]).resolve() == ROOT
    assert (ROOT / proxy["build"]["dockerfile"]).is_file()
    assert proxy["depends_on"]["redis"]["condition"] == "service_healthy"
    assert proxy["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    mounted = [volume.split(":") for volume in proxy["volumes"]]
    assert all((DEPLOY / source).is_file() for source, *_ in mounted)
    assert [target for _, target, _ in mounted] == [proxy["command"][proxy["command"].index("--config") + 1]]
    compile(proxy["healthcheck"]["test"][-1], "healthcheck", "exec")
    assert redis["command"][redis["command"].index("--maxmemory-policy") + 1] in ("noeviction", "volatile-ttl")


def test_kubernetes_replaces_proxies_one_by_one_and_reads_secrets_from_a_secret() -> None:
    parts = {each["kind"]: each for each in load_all("kubernetes.yaml")}
    deployment = parts["Deployment"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert container["envFrom"] == [{"secretRef": {"name": "litellm"}}]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/readiness"
    labels = deployment["template"]["metadata"]["labels"]
    assert parts["Service"]["spec"]["selector"] == deployment["selector"]["matchLabels"] == labels
    config = yaml.safe_load(parts["ConfigMap"]["data"]["config.yaml"])
    assert config == load_all("config.yaml")[0]
