"""A real proxy of two workers, its Redis, and a real Prometheus that scrapes both once a second."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from .client import ResponsesClient
from .processes import wait_until
from .prometheus import Prometheus, RedisExporter
from .proxy import Proxy, ProxyOptions
from .redis_server import RedisServer
from .trees import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
PREFIX = "litellm_responses_session"
RATE_SECONDS = 10  # what `[10m]` of the rules and Grafana's `$__rate_interval` become here
WAIT_SECONDS = 90


@dataclass
class Scene:
    """``turns``, ``follow_ups``: how many requests were answered so far."""

    proxy: Proxy
    redis: RedisServer
    prometheus: Prometheus
    workers_folder: Path
    turns: int = 0
    follow_ups: int = 0
    last_ids: list[str] = field(default_factory=list)

    def talk(self, conversations: int = 4, turns: int = 2) -> None:
        """So many conversations at once, half of them streams. Each request must be answered, whatever Redis does."""
        with ThreadPoolExecutor(conversations) as pool:
            self.last_ids = list(pool.map(lambda number: self._converse(turns, number % 2 == 1), range(conversations)))
        self.turns += conversations * turns
        self.follow_ups += conversations * (turns - 1)

    def _converse(self, turns: int, stream: bool) -> str:
        # A connection of its own for each conversation, so that they spread over the workers.
        with ResponsesClient(self.proxy.url, self.proxy.key) as client:
            previous = None
            for number in range(turns):
                reply = client.responses("chat-model", f"Turn {number}.", stream, previous_response_id=previous)
                assert reply.status == 200 and not reply.broken, reply.body
                previous = reply.id
        return previous

    def talk_until(self, query: str, value: float) -> None:
        """Goes on talking until Prometheus gives ``value`` for ``query``."""

        def is_so() -> bool:
            self.talk()
            return self.prometheus.value(query) == value

        wait_until(is_so, WAIT_SECONDS, f"{query} = {value}", 0.2)

    def wait_for(self, query: str, value: float) -> None:
        wait_until(lambda: self.prometheus.value(query) == value, WAIT_SECONDS, f"{query} = {value}", 0.2)

    def wait_for_alert(self, name: str, firing: bool) -> None:
        what = f"the alert {name} {'firing' if firing else 'gone'}"
        wait_until(lambda: (name in self.prometheus.firing()) == firing, WAIT_SECONDS, what, 0.2)

    def turns_of_workers(self) -> dict[str, float]:
        """What each worker has counted, by its process id: its own file in the folder that they share."""
        found = {}
        for path in self.workers_folder.glob("counter_*.db"):
            registry = CollectorRegistry()
            registry.register(_OneFile(path))
            total = sum(
                sample.value
                for metric in registry.collect()
                for sample in metric.samples
                if sample.name == f"{PREFIX}_turns_total"
            )
            found[path.stem.split("_")[1]] = total
        return found


class _OneFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def collect(self):
        return MultiProcessCollector.merge([str(self._path)])


@contextmanager
def scene(options: ProxyOptions) -> Iterator[Scene]:
    """``options``: those of a plain proxy; its Redis and its workers are others here."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(maxmemory="100mb") as redis:
        two_workers = replace(
            options,
            num_workers=2,
            environment={**redis.environment, "PROMETHEUS_MULTIPROC_DIR": folder},
            litellm_settings={"callbacks": ["prometheus"]},
        )
        with (
            Proxy(two_workers) as proxy,
            RedisExporter(redis) as exporter,
            Prometheus(files(proxy, exporter.address)) as prometheus,
        ):
            yield Scene(proxy, redis, prometheus, Path(folder))


def files(proxy: Proxy, exporter_address: str) -> dict[str, str]:
    """What deploy/monitoring has, with this proxy's address and key, and with seconds for minutes."""
    config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        address = {"litellm": f"127.0.0.1:{proxy.port}", "redis": exporter_address}[job["job_name"]]
        job["static_configs"] = [{"targets": [address]}]
    alerts = (MONITORING / "alerts.yaml").read_text()
    alerts = re.sub(r"for: \d+m", "for: 2s", alerts).replace("[10m]", f"[{RATE_SECONDS}s]")
    return {"prometheus.yaml": yaml.safe_dump(config), "alerts.yaml": alerts, "litellm_key": proxy.key}
