"""deploy/kubernetes: rendered by kubectl, checked against Kubernetes' own schemas, and what an operator relies on."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.deploy.tools import DEPLOY, complaints, parts, render, run
from tests.deploy.versions import FORK, UPSTREAM

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("base", "production", "production-with-database")


@lru_cache
def rendered(overlay: str) -> str:
    return render(KUBERNETES / overlay)


def proxy_of(overlay: str) -> dict:
    return parts(rendered(overlay))["Deployment", "litellm"]


def container(workload: dict) -> dict:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_fits_the_schemas_of_kubernetes(overlay: str, tmp_path: Path) -> None:
    assert complaints(rendered(overlay), tmp_path) == ""


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("terminationGracePeriodSeconds: 315", "terminationGraceSeconds: 315"),
        ("averageUtilization: 60", "averageUtilization: sixty"),
        ("kind: PodDisruptionBudget", "kind: PodDisruptionBudgets"),
        ("readOnlyRootFilesystem: true", "readonlyRootFilesystem: true"),
    ],
)
def test_the_check_against_the_schemas_finds_a_planted_fault(right: str, wrong: str, tmp_path: Path) -> None:
    manifests = rendered("production")
    assert right in manifests
    assert complaints(manifests.replace(right, wrong), tmp_path)


def test_rendering_finds_a_patch_of_something_that_is_not_there(tmp_path: Path) -> None:
    for name in ("base", "production"):
        (tmp_path / name).mkdir()
        for file in (KUBERNETES / name).iterdir():
            text = file.read_text(encoding="utf-8")
            if file.name == "proxy.yaml":
                text = text.replace("name: litellm\nspec", "name: litelm\nspec")
            (tmp_path / name / file.name).write_text(text)
    assert run("kubectl", "kustomize", tmp_path / "base").returncode == 0
    done = run("kubectl", "kustomize", tmp_path / "production")
    assert done.returncode and "litelm" in done.stderr


def test_whatever_changes_in_the_configuration_rolls_the_pods(tmp_path: Path) -> None:
    for changed in (None, "config.yaml", "settings.env"):
        folder = tmp_path / str(changed)
        folder.mkdir()
        for file in (KUBERNETES / "base").iterdir():
            extra = "# changed\n" if file.name == "config.yaml" else "A=b\n"
            (folder / file.name).write_text(file.read_text() + (extra if file.name == changed else ""))
    templates = [json.dumps(parts(render(folder))["Deployment", "litellm"]["spec"]) for folder in tmp_path.iterdir()]
    assert len(set(templates)) == 3


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_that_goes_is_first_taken_out_then_ends_its_streams(overlay: str) -> None:
    pod = proxy_of(overlay)["spec"]["template"]["spec"]
    waits = container(proxy_of(overlay))["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits >= 10
    assert pod["terminationGracePeriodSeconds"] >= waits + 300
    strategy = proxy_of(overlay)["spec"]["strategy"]["rollingUpdate"]
    assert (strategy["maxUnavailable"], strategy["maxSurge"]) == (0, 1)


def test_the_probes_outlast_litellms_start_and_its_drain() -> None:
    from litellm.proxy.shutdown.graceful_shutdown_manager import DEFAULT_GRACEFUL_SHUTDOWN_TIMEOUT

    proxy = container(proxy_of("base"))
    startup, liveness = proxy["startupProbe"], proxy["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300
    assert liveness["periodSeconds"] * (liveness["failureThreshold"] - 1) > DEFAULT_GRACEFUL_SHUTDOWN_TIMEOUT
    assert proxy["readinessProbe"]["httpGet"]["path"] == "/health/readiness"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_confined(overlay: str) -> None:
    workloads = [part for part in parts(rendered(overlay)).values() if "template" in part.get("spec", {})]
    assert workloads
    for each in workloads:
        pod = each["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        confined = container(each)["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["allowPrivilegeEscalation"] is False
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert container(each)["resources"]["limits"]["memory"]


def test_production_spreads_scales_and_keeps_a_proxy_in_service() -> None:
    found = parts(rendered("production"))
    proxy = found["Deployment", "litellm"]["spec"]
    assert "replicas" not in proxy
    spread = proxy["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert found["HorizontalPodAutoscaler", "litellm"]["spec"]["minReplicas"] > 1
    assert found["PodDisruptionBudget", "litellm"]["spec"]["maxUnavailable"] == 1
    labels = proxy["template"]["metadata"]["labels"].items()
    for kind, name in (("PodDisruptionBudget", "litellm"), ("NetworkPolicy", "litellm"), ("Service", "litellm")):
        selector = found[kind, name]["spec"].get("selector") or found[kind, name]["spec"]["podSelector"]
        assert selector.get("matchLabels", selector).items() <= labels


def test_the_conversations_have_a_redis_that_only_the_proxy_reaches_and_whose_memory_fits_its_limit() -> None:
    found = parts(rendered("production"))
    policy = found["NetworkPolicy", "litellm-conversations"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"] and "egress" not in policy
    assert [each["from"] for each in policy["ingress"]] == [[{"podSelector": {"matchLabels": {"app": "litellm"}}}]]
    settings = dict(
        line.split(" ", 1) for line in found["ConfigMap", "litellm-conversations"]["data"]["redis.conf"].splitlines()
    )
    assert settings["maxmemory-policy"] == "volatile-ttl"
    limit = container(found["StatefulSet", "litellm-conversations"])["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) >= 2 * int(settings["maxmemory"].removesuffix("gb"))
    environment = {each["name"]: each.get("value") for each in container(found["Deployment", "litellm"])["env"]}
    service = found["Service", "litellm-conversations"]
    port = service["spec"]["ports"][0]["port"]
    assert environment["REDIS_SESSION_PATCH_URL"].endswith(f"@{service['metadata']['name']}:{port}/0")
    assert "REDIS_URL" not in environment, "LiteLLM's own Redis is another one"


def test_secrets_come_from_secrets_and_stand_on_no_command_line() -> None:
    for overlay in OVERLAYS:
        for (kind, _), part in parts(rendered(overlay)).items():
            assert kind != "Secret"
            if "template" in part.get("spec", {}):
                each = container(part)
                named = [entry for entry in each.get("env", []) if re.search("PASSWORD|AUTH|KEY", entry["name"])]
                assert all("secretKeyRef" in entry["valueFrom"] for entry in named)
                words = " ".join([*each.get("command", []), *each.get("args", [])])
                assert "--requirepass" not in words and "$(" not in words


def test_the_database_has_its_schema_from_a_job_of_this_release_and_the_same_image() -> None:
    found = parts(rendered("production-with-database"))
    job = found["Job", f"litellm-migrations-{UPSTREAM.replace('.', '-')}"]
    assert container(job)["image"] == container(found["Deployment", "litellm"])["image"]
    (module,) = container(job)["command"][2:]
    assert find_spec(module)
    switch = "DISABLE_SCHEMA_UPDATE"
    assert {"name": switch, "value": "false"} in container(job)["env"]
    assert {"name": switch, "value": "true"} in container(found["Deployment", "litellm"])["env"]
    database = {"secretRef": {"name": "litellm-database"}}
    assert database in container(job)["envFrom"] and database in container(found["Deployment", "litellm"])["envFrom"]
    waited = (KUBERNETES / "database" / "kustomization.yaml").read_text()
    assert f"job/{job['metadata']['name']}\n" in waited
    selected = [part["kind"] for part in found.values() if part["metadata"].get("labels", {}).get(
        "app.kubernetes.io/component") == "migrations"]  # fmt: skip
    assert selected == ["Job"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_image_names_the_release_and_the_forks_version(overlay: str) -> None:
    assert container(proxy_of(overlay))["image"] == f"registry.example/litellm-fork:{UPSTREAM}-{FORK}"


def test_the_example_configuration_is_the_same_everywhere() -> None:
    here, there = DEPLOY / "config.yaml", KUBERNETES / "base" / "config.yaml"
    assert yaml.safe_load(here.read_text()) == yaml.safe_load(there.read_text())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_switching_off_by_hand_lasts_through_the_next_apply(overlay: str, tmp_path: Path) -> None:
    """`kubectl apply` resets what its manifest names, and leaves entries of `env` that it does not name."""
    file = tmp_path / "deployment.yaml"
    file.write_text(yaml.safe_dump(proxy_of(overlay)))
    command = ("set", "env", "--local", "-o", "yaml", "-f", file, "REDIS_SESSION_PATCH_ENABLED=false")
    done = run("kubectl", *command)
    assert not done.returncode, done.stderr
    live = container(yaml.safe_load(done.stdout))
    assert {"name": "REDIS_SESSION_PATCH_ENABLED", "value": "false"} in live["env"]
    named = {each["name"] for each in container(proxy_of(overlay)).get("env", [])}
    assert "REDIS_SESSION_PATCH_ENABLED" not in named
    file.write_text(yaml.safe_dump(yaml.safe_load(done.stdout)))
    applied = run(
        "kubectl", "patch", "--local", "--type", "strategic", "-o", "yaml", "-f", file, "-p",
        json.dumps({"spec": proxy_of(overlay)["spec"]}),
    )  # fmt: skip
    assert not applied.returncode, applied.stderr
    after = container(yaml.safe_load(applied.stdout))
    assert {"name": "REDIS_SESSION_PATCH_ENABLED", "value": "false"} in after["env"]


def test_the_way_to_upstreams_image_leaves_the_switch_off(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(yaml.safe_dump(proxy_of("production")))
    off = run("kubectl", "set", "env", "--local", "-o", "yaml", "-f", file, "REDIS_SESSION_PATCH_ENABLED=false")
    file.write_text(off.stdout)
    upstream = f"ghcr.io/berriai/litellm:v{UPSTREAM}"
    done = run("kubectl", "set", "image", "--local", "-o", "yaml", "-f", file, f"litellm={upstream}")
    assert not done.returncode, done.stderr
    after = container(yaml.safe_load(done.stdout))
    assert after["image"] == upstream
    assert {"name": "REDIS_SESSION_PATCH_ENABLED", "value": "false"} in after["env"]
