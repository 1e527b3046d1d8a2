"""What is wrong upstream, watched on a running proxy with a database and the patch off: one watch for each fact that
the catalogue states. A fact is tried on a release when its watch came to an end there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from compatibility.scenes import LONG_CHARACTERS, TOOLS
from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.database.spend_logs import wait_for_spend_logs
from lab.exchange import Exchange
from lab.sockets import socket_client

SHOWN, NOT_SHOWN = "shown", "not shown"
AT_ONCE = 4
TRIES_AT_ONCE = 5  # follow-ups of which one at least comes before the writer


class NotWatched(Exception):
    """The proxy did something else than the watch is about; one line says what."""


def fresh(text: str) -> str:
    """Words that nobody said before: to LiteLLM's response cache the same words are the same request, whatever they
    follow."""
    return f"{text} {uuid.uuid4().hex}"


@dataclass(frozen=True)
class Watch:
    """A client of one proxy with this database."""

    asker: Asker
    database: str

    def say(self, text: str, after: Exchange | str | None = None, **params: Any) -> Exchange:
        """In fresh words. Raises NotWatched when it is not answered."""
        return self.ask(fresh(text), after, **params)

    def ask(self, sent: object, after: Exchange | str | None = None, stream: bool = False, **params: Any) -> Exchange:
        """As it is. Raises NotWatched when it is not answered."""
        exchange = self.asker.with_manner(stream=stream).ask(sent, after, **params)
        if exchange.status != 200:
            raise NotWatched(f"HTTP {exchange.status}")
        return exchange

    def wait_for_rows(self, *turns: Exchange) -> None:
        wanted = {turn.tag for turn in turns}

        def written(rows: list[dict]) -> bool:
            return {(row.get("proxy_server_request") or {}).get("max_output_tokens") for row in rows} >= wanted

        wait_for_spend_logs(self.database, written)

    def as_somebody_new(self) -> Watch:
        """With a key of its own, without a user."""
        client = self.asker.client
        headers = {"authorization": f"Bearer {client.key}"}
        reply = client.http.post("/key/generate", json={}, headers=headers)
        if reply.status_code != 200:
            raise NotWatched(f"no key can be made: HTTP {reply.status_code}")
        return replace(self, asker=self.asker.as_key(str(reply.json()["key"])))


def forgets_at_once(watch: Watch) -> bool:
    for _ in range(TRIES_AT_ONCE):
        first = watch.say("My number is 83.")
        if first.sent not in watch.say("What is it?", first).received:
            return True
    return False


def never_finds_streams(watch: Watch) -> bool:
    first = watch.say("Tell me a story.", stream=True)
    watch.wait_for_rows(first)
    return first.sent not in watch.say("Go on.", first, stream=True).received


def loses_items(watch: Watch) -> bool:
    said, asked = ([{"role": "user", "content": fresh(text)}] for text in ("My colour is blue.", "What is it?"))
    first = watch.ask(said)
    watch.wait_for_rows(first)
    return said[0]["content"] not in watch.ask(asked, first).received


def cuts_long_messages(watch: Watch) -> bool:
    text = "".join(f"{number} " for number in range(LONG_CHARACTERS // 4))[:LONG_CHARACTERS].rstrip()
    first = watch.say(text)
    watch.wait_for_rows(first)
    texts = watch.say("And now?", first).received
    return first.sent not in texts and any(each.startswith(text[:200]) for each in texts)


def mixes_branches(watch: Watch) -> bool:
    root = watch.say("Here is a story.")
    watch.wait_for_rows(root)
    branches = [watch.say(f"Let it end in a {end}.", root) for end in ("wood", "town")]
    watch.wait_for_rows(*branches)
    texts = watch.say("No end at all.", root).received
    if root.sent not in texts:
        raise NotWatched("the history was not found")
    return any(branch.sent in texts for branch in branches)


def repeats_tool_calls(watch: Watch) -> bool:
    call = Answer(tool_calls=(ToolCall("look_up", '{"order": 7}', f"call_{uuid.uuid4().hex[:12]}"),))
    first = watch.say("Where is order 7?", answer=call, tools=TOOLS)
    watch.wait_for_rows(first)
    result = {"type": "function_call_output", "call_id": first.reply.calls[0]["call_id"], "output": "on its way"}
    second = watch.asker.ask([result], first, tools=TOOLS)  # which the provider may refuse for it
    return any(
        sum(len(each.calls) for each in request.conversation_as(merge=False)) > 1 for request in second.requests[:1]
    )


def remembers_what_is_not_to_be_stored(watch: Watch) -> bool:
    first = watch.say("This is between us.", store=False)
    watch.wait_for_rows(first)
    return first.sent in watch.say("What was that?", first).received


def shares_what_keys_without_a_user_said(watch: Watch) -> bool:
    one, other = watch.as_somebody_new(), watch.as_somebody_new()
    first = one.say("This is mine alone.")
    watch.wait_for_rows(first)
    try:
        if first.sent in other.say("What was that?", first).received:
            return True
    except NotWatched:
        return False  # it is refused
    if first.sent not in one.say("What was it?", first).received:
        raise NotWatched("the history was not found")
    return False


def answers_an_unknown_id(watch: Watch) -> bool:
    try:
        watch.say("Go on.", f"chatcmpl-{uuid.uuid4().hex}")
    except NotWatched:
        return False
    return True


def takes_half_a_stream_for_whole(watch: Watch) -> bool:
    answer = Answer(text="one two three four five six", cut_after=4, pieces=6)
    try:
        said = watch.say("Count to six.", stream=True, answer=answer)
    except NotWatched:
        return False  # it is an error
    return not said.reply.broken and said.reply.body.get("status") == "completed"


def begins_anew_on_a_websocket(watch: Watch) -> bool:
    first = watch.say("My number is 83.")
    watch.wait_for_rows(first)
    client = watch.asker.client
    with socket_client(str(client.http.base_url), client.key) as socket:
        second = replace(watch.asker, client=socket).ask(fresh("What is it?"), first)
    if not second.requests:
        raise NotWatched(f"the provider was not asked: {second.reply.events[-1]['type']}")
    return first.sent not in second.received


def shares_what_is_cached(watch: Watch) -> bool:
    """The same request by two callers: the second one is answered from LiteLLM's response cache."""
    one, other = watch.as_somebody_new(), watch.as_somebody_new()
    first = one.say("Which day is it?")
    cached = replace(other, asker=replace(other.asker, tags=iter([first.tag]))).ask(first.sent)
    if cached.requests:
        raise NotWatched("the response cache was not used")
    later = one.say("And this is mine alone.", first)
    watch.wait_for_rows(first, later)
    try:
        texts = other.say("And tomorrow?", cached).received
    except NotWatched:
        return True  # the id that it got is refused
    if first.sent not in texts:
        raise NotWatched("the history was not found")
    return later.sent in texts


# By the name that a fact in the catalogue gives as its `scene`.
DEFECTS: dict[str, Callable[[Watch], bool]] = {
    "a follow-up at once": forgets_at_once,
    "a streamed turn": never_finds_streams,
    "input as a list": loses_items,
    "a long message": cuts_long_messages,
    "siblings": mixes_branches,
    "a tool call": repeats_tool_calls,
    "a turn not to be stored": remembers_what_is_not_to_be_stored,
    "keys without a user": shares_what_keys_without_a_user_said,
    "an unknown id": answers_an_unknown_id,
    "a broken stream": takes_half_a_stream_for_whole,
    "a WebSocket": begins_anew_on_a_websocket,
    "a cached answer": shares_what_is_cached,
}


def watch_all(watch: Watch, names: Sequence[str] = tuple(DEFECTS)) -> dict[str, str]:
    """By name: `shown`, `not shown`, or what came in between."""

    def one(name: str) -> str:
        try:
            return SHOWN if DEFECTS[name](watch) else NOT_SHOWN
        except NotWatched as error:
            return str(error)
        except Exception as error:  # a broken connection, a row that never came: the cell tells
            return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))
