"""What the watches say to a proxy whose response cache is on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from compatibility import defects
from compatibility.defects import DEFECTS, NotWatched, Watch
from lab.asking import Asker
from lab.client import Reply
from lab.recording import ProviderState


class Listener:
    """A client whose every request is answered, without a provider. `heard`: their inputs; `http` makes keys."""

    key = "sk-watch"

    def __init__(self) -> None:
        self.heard: list[str] = []
        answered = SimpleNamespace(status_code=200, json=lambda: {"key": "sk-new"})
        self.http = SimpleNamespace(base_url="http://nobody", post=lambda *_, **__: answered)

    def responses(self, model: str, input: Any, *_: object, **__: object) -> Reply:
        self.heard.append(json.dumps(input))
        call = {"type": "function_call", "call_id": f"call_{len(self.heard)}"}
        return Reply(200, {"id": f"resp_{len(self.heard)}", "output": [call]}, ({"type": "response.completed"},))


@pytest.mark.parametrize("name", DEFECTS)
def test_no_words_are_said_twice_but_to_ask_the_cache(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()

    @contextmanager
    def same_client(*_: object) -> Iterator[Listener]:
        yield listener

    monkeypatch.setattr(defects, "socket_client", same_client)
    monkeypatch.setattr(Watch, "wait_for_rows", lambda *_: None)
    watch = Watch(Asker(listener, ProviderState(), tags=itertools.count(1)), "no database")
    for _ in range(2):
        with suppress(NotWatched):  # nobody remembers anything here
            DEFECTS[name](watch)
    repeated = len(listener.heard) - len(set(listener.heard))
    assert listener.heard and repeated == (2 if name == "a cached answer" else 0)
