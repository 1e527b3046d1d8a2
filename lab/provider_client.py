"""The stand-in provider as a process of its own, and its control over HTTP with the methods of
`Provider`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from .answers import Answer
from .holding import CanBeDown
from .processes import Child, free_port, wait_until
from .recorded import Recorded, from_dict
from .refusing import RULES

START_SECONDS = 10
ROOT = Path(__file__).resolve().parents[1]


class ProviderClient(CanBeDown):
    """Steers a stand-in at `url`. Raises OSError when it cannot be reached."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def _control(self, verb: str, **fields: object) -> object:
        address = f"{self.url}/_control/{verb}"
        request = urllib.request.Request(address, json.dumps(fields).encode(), {"content-type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return json.load(reply)

    def script(self, *answers: Answer, when: str | None = None, tag: int | None = None) -> None:
        self._control("script", answers=[asdict(each) for each in answers], when=when, tag=tag)

    def always(self, answer: Answer, when: str | None = None, tag: int | None = None) -> None:
        self._control("always", answer=asdict(answer), when=when, tag=tag)

    def requests(self, when: str | None = None, tag: int | None = None, since: int = 0) -> list[Recorded]:
        return [from_dict(each) for each in self._control("requests", when=when, tag=tag, since=since)]

    def clear(self) -> None:
        self._control("clear")

    @contextmanager
    def allow(self, *slugs: str) -> Iterator[None]:
        """Raises KeyError for what is no rule's slug."""
        unknown = set(slugs) - set(RULES)
        if unknown:
            raise KeyError(*sorted(unknown))
        self._control("turn_off", slugs=slugs)
        try:
            yield
        finally:
            self._control("turn_on", slugs=slugs)

    def take_down(self, account: str) -> None:
        self._control("take_down", account=account)

    def bring_up(self, account: str) -> None:
        self._control("bring_up", account=account)

    def turned_away(self, account: str) -> int:
        return self._control("turned_away", account=account)

    def stored_requests(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self._control("stored_requests")]

    def forget(self, account: str | None = None) -> None:
        self._control("forget", account=account)

    def release(self, gate: str) -> None:
        self._control("release", gate=gate)

    def is_up(self) -> bool:
        try:
            self._control("health")
        except OSError:
            return False
        return True


class ProviderProcess(ProviderClient):
    """Starts the stand-in with this interpreter; `log` defaults to a temporary file that goes with
    it.
    """

    def __init__(self, port: int | None = None, log: Path | None = None) -> None:
        self.port = port or free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self._log = log
        self._child: Child | None = None

    def start(self) -> ProviderProcess:
        self._folder = tempfile.TemporaryDirectory(prefix="stand-in-")
        log = self._log or Path(self._folder.name) / "provider.log"
        command = [sys.executable, "-m", "lab.provider", "--port", str(self.port)]
        self._child = Child(command, log, cwd=ROOT)
        wait_until(self.is_up, START_SECONDS, "the stand-in provider", process=self._child)
        return self

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None
            self._folder.cleanup()

    def __enter__(self) -> ProviderProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
