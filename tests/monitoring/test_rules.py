"""The alert rules and the example configuration, as Prometheus itself reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from lab.prometheus import find_binary
from lab.trees import ROOT
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import metrics

MONITORING = ROOT / "deploy" / "monitoring"
CASES = Path(__file__).with_name("alerts_test.yaml")
RULES = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        [find_binary("promtool"), *map(str, arguments)], text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
    )  # fmt: skip
    assert not done.returncode, done.stdout
    return done.stdout


def test_the_rules_are_sound() -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in promtool(
        "check", "rules", "--lint-fatal", MONITORING / "alerts.yaml"
    )


def test_the_example_configuration_is_sound_and_finds_the_rules(tmp_path: Path) -> None:
    shutil.copytree(MONITORING, tmp_path, dirs_exist_ok=True)
    (tmp_path / "litellm_key").write_text("sk-key")
    assert "1 rule files found" in promtool("check", "config", tmp_path / "prometheus.yaml")


def test_alerts_fire_when_they_should_and_else_do_not() -> None:
    promtool("test", "rules", CASES)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, silent = set(), set()
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for each in case.get("alert_rule_test", ()):
            (fires if each["exp_alerts"] else silent).add(each["alertname"])
        for each in case.get("promql_expr_test", ()):
            (fires if each["exp_samples"] else silent).add(re.search(r'alertname="(\w+)"', each["expr"])[1])
    assert fires == silent == {rule["alert"] for rule in RULES}


def test_results_and_operations_in_the_rules_are_ones_that_are_counted() -> None:
    named = re.findall(r'(result|operation)[!=]=?~?"([^"]+)"', " ".join(rule["expr"] for rule in RULES))
    known = {
        "result": {*metrics.LOOKUP_RESULTS, *metrics.TURN_RESULTS, *metrics.JOB_RESULTS},
        "operation": set(metrics.OPERATIONS),
    }
    assert named
    assert not [value for label, values in named for value in values.split("|") if value not in known[label]]


def test_every_alert_is_explained_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in readme]
