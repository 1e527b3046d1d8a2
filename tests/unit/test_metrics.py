"""The counters: in the registry that LiteLLM serves, over several processes, and without `prometheus_client`."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import metrics
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.metrics import (
    COMPACTION_RESULTS,
    JOB_RESULTS,
    LOOKUP_RESULTS,
    OPERATIONS,
    TURN_RESULTS,
    Metrics,
)

PREFIX = "litellm_responses_session"


def sample(name: str, registry: CollectorRegistry = REGISTRY, **labels: str) -> float | None:
    return registry.get_sample_value(f"{PREFIX}_{name}", labels)


def test_every_series_is_there_before_anything_has_happened() -> None:
    Metrics()
    for result in LOOKUP_RESULTS:
        assert sample("lookups_total", result=result) is not None
        assert sample("requests_total", result=result) is not None
    for result in TURN_RESULTS:
        assert sample("turns_total", result=result) is not None
    for operation in OPERATIONS:
        assert sample("redis_seconds_count", operation=operation) is not None
        assert sample("breaker_open", operation=operation) is not None
    assert sample("turn_bytes_count") is not None and sample("defects_total") is not None


def test_what_is_counted_is_exported() -> None:
    counted = Metrics()
    before = {
        name: sample(name, result=result)
        for name, result in (("lookups_total", "denied"), ("requests_total", "deleted"), ("turns_total", "skipped"))
    }
    counted.count("lookups", "denied")
    counted.count("requests", "deleted")
    counted.count("turns", "skipped")
    counted.count("turns", "skipped")
    defects = sample("defects_total")
    counted.record("defects", 1)
    assert sample("defects_total") == defects + 1
    assert sample("lookups_total", result="denied") == before["lookups_total"] + 1
    assert sample("requests_total", result="deleted") == before["requests_total"] + 1
    assert sample("turns_total", result="skipped") == before["turns_total"] + 2


def test_counts_are_of_one_instance_and_hold_every_result() -> None:
    counted, other = Metrics(), Metrics()
    counted.count("lookups", "found")
    counted.count("turns", "stored")
    assert counted.counts() == {
        "lookups": {**dict.fromkeys(LOOKUP_RESULTS, 0), "found": 1},
        "requests": dict.fromkeys(LOOKUP_RESULTS, 0),
        "turns": {**dict.fromkeys(TURN_RESULTS, 0), "stored": 1},
        "jobs": dict.fromkeys(JOB_RESULTS, 0),
        "compactions": dict.fromkeys(COMPACTION_RESULTS, 0),
    }
    assert not any(other.counts()["lookups"].values())


def test_times_and_sizes_fall_into_their_buckets() -> None:
    counted = Metrics()
    slow = sample("redis_seconds_bucket", operation="read", le="0.0005"), sample("redis_seconds_sum", operation="read")
    small = sample("turn_bytes_bucket", le="1024.0")
    counted.record("redis_seconds", 0.0004, "read")
    counted.record("redis_seconds", 0.3, "read")
    counted.record("turn_bytes", 1024)
    counted.record("turn_bytes", 16 * 1024 * 1024)
    assert sample("redis_seconds_bucket", operation="read", le="0.0005") == slow[0] + 1
    assert sample("redis_seconds_sum", operation="read") == pytest.approx(slow[1] + 0.3004)
    assert sample("turn_bytes_bucket", le="1024.0") == small + 1
    assert sample("turn_bytes_bucket", le="1.6777216e+07") == sample("turn_bytes_count")


def test_a_breaker_opens_and_closes_for_one_operation() -> None:
    counted = Metrics()
    counted.record("breaker_open", True, "read")
    assert (sample("breaker_open", operation="read"), sample("breaker_open", operation="write")) == (1, 0)
    counted.record("breaker_open", False, "read")
    assert sample("breaker_open", operation="read") == 0


def test_the_info_says_what_runs() -> None:
    Metrics().record("info", 1, "9.9.9", "1.2.3", "true")
    assert sample("info", fork="9.9.9", release="1.2.3", encrypted="true") == 1


def test_two_in_one_process_count_together() -> None:
    before = sample("lookups_total", result="found")
    Metrics().count("lookups", "found")
    Metrics().count("lookups", "found")
    assert sample("lookups_total", result="found") == before + 2


def loaded_again() -> ModuleType:
    spec = importlib.util.spec_from_file_location("metrics_loaded_again", metrics.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_that_are_taken_fail_nothing() -> None:
    Metrics()
    module, lines = loaded_again(), []
    module.logger = logging.Logger("again")
    module.logger.addHandler(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())
    again = module.Metrics()
    again.count("lookups", "found")
    again.count("turns", "stored")
    again.record("redis_seconds", 0.1, "read")
    again.record("turn_bytes", 10)
    again.record("breaker_open", True, "read")
    again.record("info", 1, "1", "2", "false")
    assert again.counts()["lookups"]["found"] == 1
    module.Metrics()
    assert [line.split(" (")[0] for line in lines] == ["The session store's metrics are not exported"]


USE_ALL = """
counted = metrics.Metrics()
counted.count("lookups", "found")
counted.count("turns", "stored")
counted.record("redis_seconds", 0.002, "read")
counted.record("turn_bytes", 2000)
counted.record("breaker_open", OPEN, "read")
counted.record("info", 1, "0.2.0", "1.106.2", "false")
print(counted.counts()["lookups"]["found"])
"""


def run_alone(code: str, **environment: str) -> subprocess.Popen[str]:
    """The module in a process of its own, without LiteLLM."""
    head = textwrap.dedent(f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("metrics", {metrics.__file__!r})
        metrics = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(metrics)
    """)
    return subprocess.Popen(
        [sys.executable, "-c", head + code], env={**os.environ, **environment}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert not process.returncode, output
    return output


def test_importing_it_imports_no_client() -> None:
    assert output_of(run_alone("print('prometheus_client' in sys.modules)")) == "False\n"


def test_without_the_client_it_counts_all_the_same() -> None:
    missing = "sys.modules['prometheus_client'] = None\n" + USE_ALL.replace("OPEN", "True")
    assert output_of(run_alone(missing)) == "1\n"


def test_a_folder_that_is_not_there_fails_nothing(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    output = output_of(run_alone(USE_ALL.replace("OPEN", "True"), PROMETHEUS_MULTIPROC_DIR=gone))
    assert "metrics are not exported" in output
    assert output.endswith("1\n")


@pytest.fixture
def two_workers(tmp_path: Path):
    """Two living processes that have used everything; the reading breaker of the first is open."""
    code = USE_ALL + "sys.stdout.flush()\nsys.stdin.read()\n"
    folder = str(tmp_path)
    workers = [run_alone(code.replace("OPEN", is_open), PROMETHEUS_MULTIPROC_DIR=folder) for is_open in ("True", "0")]
    for worker in workers:
        assert worker.stdout.readline() == "1\n"
    yield folder, workers
    for worker in workers:
        worker.kill()
        worker.communicate()


def collected(folder: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)
    return registry


def test_workers_add_up_and_a_gauge_is_the_highest(two_workers) -> None:
    folder, _ = two_workers
    registry = collected(folder)
    assert sample("lookups_total", registry, result="found") == 2
    assert sample("turns_total", registry, result="stored") == 2
    assert sample("redis_seconds_count", registry, operation="read") == 2
    assert sample("turn_bytes_sum", registry) == 4000
    assert sample("breaker_open", registry, operation="read") == 1
    assert sample("breaker_open", registry, operation="write") == 0
    assert sample("info", registry, fork="0.2.0", release="1.106.2", encrypted="false") == 1


def test_a_worker_that_is_gone_takes_its_breaker_along_and_leaves_its_counts(two_workers) -> None:
    folder, (first, _) = two_workers
    first.kill()
    first.wait()
    mark_process_dead(first.pid, path=folder)
    registry = collected(folder)
    assert sample("breaker_open", registry, operation="read") == 0
    assert sample("lookups_total", registry, result="found") == 2


def test_labels_name_nothing_but_what_the_table_has(two_workers) -> None:
    folder, _ = two_workers
    names = {label.split("=")[0] for line in generate_latest(collected(folder)).decode().splitlines()
             if "{" in line for label in line[line.index("{") + 1 : line.index("}")].split(",")}  # fmt: skip
    assert names == {"result", "operation", "of", "le", "fork", "release", "encrypted"}
