"""Proxies that tests share: one for each set of options, started when first asked for, stopped at
the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from .proxy import Proxy, ProxyOptions


class ProxyPool:
    def __init__(self) -> None:
        self._running: dict[str, Proxy] = {}

    def get(self, options: ProxyOptions) -> Proxy:
        """Raises ProcessFailed when it does not start."""
        return self.get_all([options])[0]

    def get_all(self, wanted: Iterable[ProxyOptions]) -> list[Proxy]:
        """Those not yet running start side by side."""
        keys = []
        for options in wanted:
            keys.append(key := repr(options))
            if key not in self._running or not self._running[key].is_running():
                self._running[key] = Proxy(options).start()
        return [self._running[key].wait_until_ready() for key in keys]

    def stop(self) -> None:
        with contextlib.ExitStack() as stack:
            for proxy in self._running.values():
                stack.callback(proxy.stop)
        self._running.clear()
