"""What the stand-in provider keeps: the requests it got, the answers it shall give, and the gates
they wait behind.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from .answers import Answer, Script
from .formats import responses
from .holding import Accounts, CanBeDown, HeldResponse, Holder, with_ids
from .issuing import issued_with, signed
from .recorded import Recorded, default_answer
from .refusing import OFF, RULES, Refusal, Sent
from .refusing.responses.shapes import seen_by

KEPT_HEADERS = (
    "authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
)


class ProviderState(CanBeDown):
    """The script and the record; thread-safe. `responder`, when set, is asked before the script."""

    def __init__(self) -> None:
        self._script = Script()
        self._sequence = itertools.count(1)
        self._recorded: list[Recorded] = []
        self._recorded_by_tag: dict[int | None, list[Recorded]] = {}
        self._gates: dict[str, threading.Event] = {}
        self._issued: defaultdict[object, set[tuple[str, str]]] = defaultdict(set)
        self._allowed: list[str] = list(OFF)
        self._lock = threading.Lock()
        self.accounts = Accounts()
        self._stored_requests: list[tuple[str, str]] = []
        self.responder: Callable[[Recorded], Answer | None] | None = None

    def script(self, *answers: Answer, when: str | None = None, tag: int | None = None) -> None:
        """Give each answer once, in order, to requests that match (regex over what is asked; tag;
        else any).
        """
        self._script.add(answers, when, tag, once=True)

    def always(self, answer: Answer, when: str | None = None, tag: int | None = None) -> None:
        self._script.add((answer,), when, tag, once=False)

    def requests(self, when: str | None = None, tag: int | None = None, since: int = 0) -> list[Recorded]:
        """Recorded requests in order of arrival; `since` is a sequence number that is left out
        itself.
        """
        with self._lock:
            among = self._recorded if tag is None else self._recorded_by_tag.get(tag, [])
            kept = [each for each in among if each.sequence > since]
        return [each for each in kept if re.search(when, each.asked)] if when else kept

    def note_stored_request(self, method: str, path: str) -> None:
        with self._lock:
            self._stored_requests.append((method, path))

    def stored_requests(self) -> list[tuple[str, str]]:
        """What accounts were asked about responses that they may hold: method and path, in order of arrival."""
        with self._lock:
            return list(self._stored_requests)

    def last_sequence(self) -> int:
        """Of the newest request that is kept; 0 when there is none."""
        with self._lock:
            return self._recorded[-1].sequence if self._recorded else 0

    def take(self, tag: int) -> list[Recorded]:
        """The requests with this tag, which are not kept any longer: for a load that would fill the memory."""
        with self._lock:
            taken = self._recorded_by_tag.pop(tag, [])
            for each in taken:
                self._recorded.remove(each)
        return taken

    def clear(self) -> None:
        """Forget answers, requests and what accounts hold, open all gates, bring up what is down. Sequence numbers go
        on, what was given out stays known.
        """
        self._script.clear()
        self.responder = None
        self.forget()
        self.accounts.bring_up()
        with self._lock:
            self._recorded.clear()
            self._recorded_by_tag.clear()
            self._stored_requests.clear()
            gates, self._gates = self._gates, {}
        for gate in gates.values():
            gate.set()

    @contextmanager
    def allow(self, *slugs: str) -> Iterator[None]:
        """Turn these rules off inside. Raises KeyError for what is no rule's slug."""
        self.turn_off(*slugs)
        try:
            yield
        finally:
            self.turn_on(*slugs)

    def turn_off(self, *slugs: str) -> None:
        """Each is off until it was turned on as often. Raises KeyError for what is no rule's slug."""
        for slug in slugs:
            self._allowed.append(RULES[slug].slug)

    def turn_on(self, *slugs: str) -> None:
        for slug in slugs:
            self._allowed.remove(slug)

    def take_down(self, account: str) -> None:
        self.accounts.take_down(account)

    def bring_up(self, account: str) -> None:
        self.accounts.bring_up(account)

    def turned_away(self, account: str) -> int:
        """How many requests met this account down, ever."""
        return self.accounts.turned_away(account)

    def forget(self, account: str | None = None) -> None:
        """All responses that this account holds; None: every account's."""
        self.accounts.forget(account)

    def release(self, gate: str) -> None:
        """Let the answers behind this gate go, now and from now on."""
        self._gate(gate).set()

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def record(
        self, path: str, headers: Mapping[str, str], body: dict, format: str, stream: bool
    ) -> tuple[Recorded, Refusal | None]:
        """Keep the request, refused or not."""
        kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
        streamed = stream or bool(body.get("stream"))
        recorded = Recorded(next(self._sequence), path, format, streamed, kept, body)
        sent = Sent(body, recorded.model, kept.get("anthropic-beta", ""), self._issued[recorded.issuer])
        if format == "responses":
            sent = self._with_state(sent, recorded.holder)
            seen = seen_by(replace(sent, body={**body, "input": responses.input_of(body)}))
            recorded = replace(recorded, held=tuple(sent.before or ()), items=seen)
        if refusal := recorded.maker.refusal_of(sent, self._allowed):
            recorded = replace(recorded, refused=refusal.slug)
        with self._lock:
            self._recorded.append(recorded)
            self._recorded_by_tag.setdefault(recorded.tag, []).append(recorded)
        return recorded, refusal

    def _with_state(self, sent: Sent, holder: Holder) -> Sent:
        previous = sent.body.get("previous_response_id")
        held = self.accounts.response(holder, previous)
        items = self.accounts.items(holder, [item.get("id") for item in responses.input_of(sent.body)])
        unknown = None if previous else ()
        return replace(sent, before=held.items if held else unknown, held=items)

    def choose(self, recorded: Recorded) -> Answer:
        answer = self.responder(recorded) if self.responder else None
        answer = answer or self._script.pick(recorded.asked, recorded.tag) or default_answer(recorded)
        answer = signed(answer, recorded.format, recorded.model, recorded.issuer)
        self._issued[recorded.issuer].update(issued_with(answer, recorded.format))
        return replace(answer, id=answer.id or responses.new_id()) if recorded.format == "responses" else answer

    def hold(self, recorded: Recorded, answer: Answer) -> dict | None:
        """The response as it is now, which the account holds from here on; None: the format has no such thing."""
        if recorded.format != "responses":
            return None
        response = responses.render(recorded.body, answer)
        pending = self._gate(answer.gate) if answer.gate and response["background"] else None
        sent = with_ids(recorded.items[len(recorded.held) :], response["id"])
        held = HeldResponse(response, (*recorded.held, *sent), pending)
        if response["store"] is not False:
            self.accounts.hold(recorded.holder, held)
        return held.shown

    async def wait_for(self, answer: Answer) -> None:
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        await self.pass_gate(answer.gate)

    async def pass_gate(self, name: str | None) -> None:
        gate = self._gate(name) if name else None
        while gate and not gate.is_set():
            await asyncio.sleep(0.01)
