"""What a provider with a Responses endpoint holds for its accounts, and which of them are down.

An account is what stands in the path before `/v1` (`one` in `/one/v1/responses`; `""` in `/v1/responses`), and the key
that the request comes with: another key of the same path holds other things.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile

from .formats.responses import PREFIXES, derived_id, kind_of
from .refusing import HeldItem

Holder = tuple[str, str]  # the account's name, and its key


def account_of(path: str) -> str:
    parts = path.strip("/").split("/")
    return "/".join(takewhile(lambda part: part not in ("v1", "responses"), parts))


def holder_of(path: str, headers: Mapping[str, str]) -> Holder:
    return account_of(path), headers.get("authorization") or headers.get("api-key") or ""


@dataclass(frozen=True)
class HeldResponse:
    """`response`: as its client has it. `seen`: the items that it was made from, those before the request's own too.

    pending: of a response in the background: not set: it is not done.
    """

    response: dict
    seen: tuple[dict, ...]
    pending: threading.Event | None = None

    @property
    def id(self) -> str:
        return self.response["id"]

    @property
    def items(self) -> tuple[dict, ...]:
        """What goes before the input of a request that follows it."""
        return (*self.seen, *self.response["output"])

    @property
    def shown(self) -> dict:
        """As it is when it is asked for now."""
        if self.pending is not None and not self.pending.is_set():
            return {**self.response, "status": "queued", "completed_at": None, "output": [], "usage": None}
        return self.response


class CanBeDown:
    """Of what can `take_down` and `bring_up` an account."""

    @contextmanager
    def down(self, account: str) -> Iterator[None]:
        """Inside, whatever is asked of this account is answered with a 503, and not recorded."""
        self.take_down(account)
        try:
            yield
        finally:
            self.bring_up(account)

    def take_down(self, account: str) -> None:
        raise NotImplementedError

    def bring_up(self, account: str) -> None:
        raise NotImplementedError


@dataclass
class Account:
    responses: dict[str, HeldResponse] = field(default_factory=dict)
    items: dict[str, HeldItem] = field(default_factory=dict)


class Accounts:
    """Thread-safe."""

    def __init__(self) -> None:
        self._accounts: dict[Holder, Account] = {}
        self._down: set[str] = set()
        self._turned_away: Counter[str] = Counter()
        self._lock = threading.Lock()

    def hold(self, holder: Holder, held: HeldResponse) -> None:
        with self._lock:
            account = self._accounts.setdefault(holder, Account())
            account.responses[held.id] = held
            for item in held.seen:
                account.items.setdefault(item["id"], HeldItem(item))
            account.items.update(with_their_reasoning(held.response["output"]))

    def response(self, holder: Holder, id: object) -> HeldResponse | None:
        with self._lock:
            account = self._accounts.get(holder)
            return account.responses.get(id) if account and isinstance(id, str) else None

    def held(self, account: str) -> list[HeldResponse]:
        """All responses of these accounts, whatever their keys."""
        with self._lock:
            found = [self._accounts[holder] for holder in self._accounts if holder[0] == account]
            return [held for each in found for held in each.responses.values()]

    def items(self, holder: Holder, ids: Sequence[object]) -> dict[str, HeldItem]:
        """Those of these ids that it holds."""
        with self._lock:
            account = self._accounts.get(holder)
            return (
                {id: account.items[id] for id in ids if isinstance(id, str) and id in account.items} if account else {}
            )

    def delete(self, holder: Holder, id: str) -> None:
        """The response and the items of its answer; what follows it keeps them."""
        with self._lock:
            account = self._accounts.get(holder)
            held = account.responses.pop(id, None) if account else None
            for item in held.response["output"] if held else ():
                account.items.pop(item["id"], None)

    def cancel(self, holder: Holder, id: str) -> HeldResponse | None:
        """None: there is no such response in the background."""
        held = self.response(holder, id)
        if held is None or held.pending is None:
            return None
        if not held.pending.is_set():
            held = replace(held, response={**held.shown, "status": "cancelled"}, pending=threading.Event())
            held.pending.set()
            self.hold(holder, held)
        return held

    def forget(self, account: str | None = None) -> None:
        """All that these hold, as after 30 days; None: of every account."""
        with self._lock:
            for holder in list(self._accounts):
                if account in (None, holder[0]):
                    del self._accounts[holder]

    def take_down(self, account: str) -> None:
        with self._lock:
            self._down.add(account)

    def bring_up(self, account: str | None = None) -> None:
        """None: every account."""
        with self._lock:
            self._down.intersection_update(self._down - {account} if account is not None else ())

    def turns_away(self, path: str) -> bool:
        """Whether the account of this path is down; counts."""
        account = account_of(path)
        with self._lock:
            if account not in self._down:
                return False
            self._turned_away[account] += 1
            return True

    def turned_away(self, account: str) -> int:
        with self._lock:
            return self._turned_away[account]


def with_their_reasoning(output: Sequence[dict]) -> Iterator[tuple[str, HeldItem]]:
    """Each item of an answer by its id, with the id of the reasoning item that stands right before it."""
    reasoning: str | None = None
    for item in output:
        yield item["id"], HeldItem(item, None if item["type"] == "reasoning" else reasoning)
        reasoning = item["id"] if item["type"] == "reasoning" else None


def with_ids(items: Sequence[dict], response_id: str) -> tuple[dict, ...]:
    """Items of a request as `input_items` lists them."""
    return tuple(
        listed(item, item.get("id") or derived_id(response_id, PREFIXES.get(kind_of(item), "item"), f"input {number}"))
        for number, item in enumerate(items)
    )


def listed(item: dict, id: str) -> dict:
    if kind_of(item) != "message":
        return {"status": "completed", **item, "id": id} if kind_of(item) != "reasoning" else {**item, "id": id}
    content = item.get("content")
    if isinstance(content, str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    return {"type": "message", "status": "completed", **item, "content": content, "id": id}
