"""A real Prometheus and its companions as processes: found on PATH, else where `make test-monitoring` unpacks them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from .processes import Child, free_port, wait_until
from .redis_server import RedisServer
from .trees import BUILD

UNPACKED = BUILD / "prometheus" / "usr" / "bin"
START_SECONDS = 30


def find_binary(name: str) -> str:
    """Raises FileNotFoundError."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), str(UNPACKED)]))
    if found is None:
        raise FileNotFoundError(f"no {name}: install Prometheus or run `make .build/prometheus/ready`")
    return found


def get_json(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as reply:
        return json.load(reply)


class Prometheus:
    """`files` are written into its folder, which holds its data too; `prometheus.yaml` is the configuration."""

    def __init__(self, files: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._files = files
        self._folder = Path(tempfile.mkdtemp(prefix="prometheus-"))
        self._child: Child | None = None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that `expression` has now, each with `metric` and `value`."""
        return self._ask("query", query=expression)["result"]

    def value(self, expression: str) -> float | None:
        """The value of a single series, or None when there is none."""
        series = self.query(expression)
        assert len(series) <= 1, f"{expression} has {len(series)} series"
        return float(series[0]["value"][1]) if series else None

    def query_range(self, expression: str, start: float, end: float, step_seconds: float) -> list[dict[str, Any]]:
        """Each with `metric` and `values`, pairs of a time and a number as text."""
        return self._ask("query_range", query=expression, start=start, end=end, step=step_seconds)["result"]

    def firing(self) -> set[str]:
        return {each["labels"]["alertname"] for each in self._ask("alerts")["alerts"] if each["state"] == "firing"}

    def _ask(self, what: str, **parameters: Any) -> Any:
        return get_json(f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}")["data"]

    def is_ready(self) -> bool:
        try:
            self.query("vector(1)")
        except OSError:
            return False
        return True

    def __enter__(self) -> Prometheus:
        for name, text in self._files.items():
            (self._folder / name).write_text(text)
        command = [find_binary("prometheus"), f"--config.file={self._folder / 'prometheus.yaml'}"]
        command += [f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address={self.url[7:]}"]
        self._child = Child(command, self._folder / "prometheus.log", cwd=self._folder)
        try:
            wait_until(self.is_ready, START_SECONDS, "Prometheus", 0.1, self._child)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class RedisExporter:
    """What a Redis says of itself, for Prometheus."""

    def __init__(self, redis: RedisServer) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._redis = redis
        self._folder = Path(tempfile.mkdtemp(prefix="redis-exporter-"))
        self._child: Child | None = None

    def is_ready(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.address}/metrics", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def __enter__(self) -> RedisExporter:
        command = [find_binary("prometheus-redis-exporter"), f"-redis.addr={self._redis.url}"]
        command += [f"-web.listen-address={self.address}"]
        self._child = Child(command, self._folder / "redis-exporter.log")
        try:
            wait_until(self.is_ready, START_SECONDS, "redis_exporter", 0.1, self._child)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
