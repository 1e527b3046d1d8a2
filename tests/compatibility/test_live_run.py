"""What a row says of a proxy that does not live."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from compatibility.live_run import running
from lab.processes import ProcessFailed


@dataclass
class StoppedProxy:
    """A proxy as `running` knows it, which ends when it is told to."""

    exit_code: int | None = None

    def start(self) -> None:
        pass

    def wait_until_ready(self, seconds: float) -> None:
        pass

    def is_running(self) -> bool:
        return self.exit_code is None

    def stop(self) -> None:
        self.exit_code = self.exit_code or 0


def test_a_proxy_that_ended_by_itself_has_shown_nothing() -> None:
    lives, ends = StoppedProxy(), StoppedProxy()
    with pytest.raises(ProcessFailed, match="ended by itself, with exit code -11"), running([lives, ends]):
        ends.exit_code = -11
    assert lives.exit_code == 0, "both are stopped"


def test_proxies_that_live_to_the_end_are_stopped_without_a_word() -> None:
    proxy = StoppedProxy()
    with running([proxy]):
        pass
    assert proxy.exit_code == 0
