"""deploy/helm: values for upstream's two charts.

The charts themselves are in a registry that tests do not reach. `make helm-check CHART=… VALUES=…` renders one and
checks the result; here every value is held against the names that the charts know, and what helm does with it is tried
on a chart of one template.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.trees import ROOT
from tests.deploy.tools import DEPLOY, complaints, run
from tests.deploy.versions import FORK, UPSTREAM

# The values that the charts' own values.yaml has, as far as they are set here; `*` is free-form. Read at `litellm-helm`
# 1.1.3 and later, and at `litellm` 1.0.0, whose schema forbids an image of the gateway's own.
WORKLOAD = {
    "strategy.*", "lifecycle.*", "terminationGracePeriodSeconds", "podSecurityContext.*", "securityContext.*",
    "volumes.*", "volumeMounts.*", "pdb.enabled", "pdb.maxUnavailable",
}  # fmt: skip
KNOWN = {
    "litellm-helm": {
        *WORKLOAD, "image.repository", "image.tag", "image.pullPolicy", "replicaCount", "envVars.*",
        "environmentSecrets.*", "serviceAccount.create", "serviceAccount.automount",
    },
    "litellm": {
        "image.repository", "image.tag", "serviceAccounts.gateway.automount",
        *(f"gateway.{name}" for name in (*WORKLOAD, "extraEnv.*", "envSecrets.*", "startupProbe.*", "hpa.minReplicas")),
    },
}  # fmt: skip
CHARTS = tuple(KNOWN)
SWITCH = {"litellm-helm": "envVars.REDIS_SESSION_PATCH_ENABLED", "litellm": "gateway.extraEnv[0].value"}


def values_of(chart: str) -> dict:
    return yaml.safe_load((DEPLOY / "helm" / f"{chart}.yaml").read_text(encoding="utf-8"))


def paths(value: object, at: str = "") -> Iterator[str]:
    """`a.b` for every leaf; whatever stands in a list is `list.*`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        yield f"{at}.*"
    else:
        yield at


def is_known(path: str, known: set[str]) -> bool:
    heads = {path[:index] for index, letter in enumerate(path) if letter == "."}
    return path in known or any(f"{head}.*" in known for head in heads)


@pytest.mark.parametrize("chart", CHARTS)
def test_every_value_is_one_that_the_chart_knows(chart: str) -> None:
    unknown = [path for path in paths(values_of(chart)) if not is_known(path, KNOWN[chart])]
    assert not unknown


def test_a_value_that_no_chart_knows_is_noticed() -> None:
    found = [
        path for path in paths({"image": {"repo": "x"}, "gateway": {"env": []}}) if not is_known(path, KNOWN["litellm"])
    ]
    assert found == ["image.repo", "gateway.env.*"]


@pytest.mark.parametrize("chart", CHARTS)
def test_the_image_names_the_release_and_the_forks_version(chart: str) -> None:
    assert values_of(chart)["image"]["tag"] == f"{UPSTREAM}-{FORK}"


@pytest.mark.parametrize("chart", CHARTS)
def test_the_pod_is_the_one_of_the_kustomize_base(chart: str, tmp_path: Path) -> None:
    """Put into a pod as the chart puts them, the values fit Kubernetes' schemas and the base's settings."""
    values = values_of(chart)
    given = values.get("gateway", values)
    environment = given.get("extraEnv") or [{"name": name, "value": value} for name, value in given["envVars"].items()]
    base = yaml.safe_load((DEPLOY / "kubernetes/base/deployment.yaml").read_text())["spec"]
    pod, proxy = base["template"]["spec"], base["template"]["spec"]["containers"][0]
    assert given["strategy"] == base["strategy"]
    assert given["lifecycle"] == proxy["lifecycle"]
    assert given["terminationGracePeriodSeconds"] == pod["terminationGracePeriodSeconds"]
    assert given["securityContext"] == proxy["securityContext"]
    assert given["podSecurityContext"].items() <= pod["securityContext"].items()
    manifest = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {
            "terminationGracePeriodSeconds": given["terminationGracePeriodSeconds"],
            "securityContext": given["podSecurityContext"], "volumes": given["volumes"],
            "containers": [{
                "name": "litellm", "image": "i", "env": environment, "lifecycle": given["lifecycle"],
                "securityContext": given["securityContext"], "volumeMounts": given["volumeMounts"],
                **({"startupProbe": given["startupProbe"]} if "startupProbe" in given else {}),
            }],
        },
    }  # fmt: skip
    assert complaints(yaml.safe_dump(manifest), tmp_path) == ""
    (mount,) = given["volumeMounts"]
    written = [entry["value"] for entry in environment if entry["value"].startswith("/")]
    assert written and all(path.startswith(mount["mountPath"]) for path in written)


def a_chart(folder: Path) -> Path:
    """One that shows the values it got."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shows\nversion: 1.0.0\n")
    (folder / "templates" / "shown.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shown}\ndata:\n  values: {{ toYaml .Values | quote }}\n"
    )
    return folder


def shown(folder: Path, *arguments: str | Path) -> dict:
    home = folder.parent / "home"
    done = run("helm", "template", "shows", folder, *arguments, HOME=str(home))
    assert not done.returncode, done.stderr
    return yaml.safe_load(yaml.safe_load(done.stdout)["data"]["values"])


@pytest.mark.parametrize("chart", CHARTS)
def test_one_argument_switches_the_fork_off_and_leaves_the_rest(chart: str, tmp_path: Path) -> None:
    values = DEPLOY / "helm" / f"{chart}.yaml"
    folder = a_chart(tmp_path / "chart")
    on = shown(folder, "-f", values)
    off = shown(folder, "-f", values, "--set-string", f"{SWITCH[chart]}=false")
    environment = off.get("gateway", off)
    if chart == "litellm":
        assert environment["extraEnv"][0] == {"name": "REDIS_SESSION_PATCH_ENABLED", "value": "false"}
        environment["extraEnv"][0]["value"] = "true"
    else:
        assert environment["envVars"]["REDIS_SESSION_PATCH_ENABLED"] == "false"
        environment["envVars"]["REDIS_SESSION_PATCH_ENABLED"] = "true"
    assert off == on


@pytest.mark.parametrize("chart", CHARTS)
def test_two_arguments_bring_upstreams_image(chart: str, tmp_path: Path) -> None:
    values = DEPLOY / "helm" / f"{chart}.yaml"
    image = ("image.repository=ghcr.io/berriai/litellm", f"image.tag=v{UPSTREAM}")
    got = shown(a_chart(tmp_path / "chart"), "-f", values, "--set", image[0], "--set", image[1])
    assert (got["image"]["repository"], got["image"]["tag"]) == ("ghcr.io/berriai/litellm", f"v{UPSTREAM}")


def helm_check(chart: Path) -> subprocess.CompletedProcess[str]:
    """As an operator says it."""
    values = DEPLOY / "helm" / "litellm.yaml"
    command = ["make", "--no-print-directory", "helm-check", f"CHART={chart}", f"VALUES={values}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_a_rendered_chart_is_held_against_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    folder = a_chart(tmp_path / "chart")
    fits = helm_check(folder)
    assert not fits.returncode, fits.stdout + fits.stderr
    template = folder / "templates" / "shown.yaml"
    template.write_text(template.read_text().replace("\ndata:", "\ndatas:"))
    refused = helm_check(folder)
    assert refused.returncode and "'datas' was unexpected" in refused.stdout + refused.stderr
