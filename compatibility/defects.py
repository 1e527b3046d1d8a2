"""What is wrong upstream, watched on a running proxy with a database and the patch off: one watch for each fact that
the catalogue states. A fact is tried on a release when its watch came to an end there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from websockets.sync.client import connect

from compatibility.scenes import LONG_CHARACTERS, TOOLS
from lab.answers import Answer, ToolCall
from lab.client import Reply, ResponsesClient
from lab.database.spend_logs import wait_for_spend_logs
from lab.provider import Provider
from lab.recording import Recorded

SHOWN, NOT_SHOWN = "shown", "not shown"
AT_ONCE = 4
TRIES_AT_ONCE = 5  # follow-ups of which one at least comes before the writer
WEBSOCKET_SECONDS = 60
_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


@dataclass(frozen=True)
class Said:
    """A turn: what was asked, what came back, and what the provider was sent (None: nothing)."""

    text: str
    tag: int
    reply: Reply
    asked: Recorded | None

    @property
    def id(self) -> str:
        return self.reply.id

    @property
    def answer(self) -> str:
        return f"Answer {self.tag}."

    @property
    def received(self) -> tuple[str, ...]:
        """The texts that reached the provider."""
        messages = self.asked.conversation_as(merge=False) if self.asked else ()
        return tuple(text for message in messages for text in message.texts)


class NotWatched(Exception):
    """The proxy did something else than the watch is about; one line says what."""


@dataclass(frozen=True)
class Watch:
    """A client of one proxy. `key`: somebody else than the administrator."""

    client: ResponsesClient
    provider: Provider
    database: str
    tags: Iterator[int]
    key: str | None = None

    def say(
        self, text: str, after: Said | str | None = None, stream: bool = False, as_items: bool = False,
        answer: Answer | None = None, given: object = None, model: str = "chat-model", **params: object,
    ) -> Said:  # fmt: skip
        """Raises NotWatched when it is not answered."""
        tag = next(self.tags)
        self.provider.script(answer or Answer(text=f"Answer {tag}."), tag=tag)
        asked: object = given or ([{"role": "user", "content": text}] if as_items else text)
        previous = after.id if isinstance(after, Said) else after
        reply = self.client.responses(
            model, asked, stream, self.key, tag, previous_response_id=previous, **params
        )  # fmt: skip
        requests = self.provider.requests(tag=tag)
        if reply.status != 200:
            raise NotWatched(f"HTTP {reply.status}")
        return Said(text, tag, reply, requests[0] if requests else None)

    def say_the_same_as(self, other: Watch, text: str) -> tuple[Said, Said]:
        """The same request by two callers, the second one answered from LiteLLM's response cache."""
        first = self.say(text)
        reply = other.client.responses("chat-model", text, False, other.key, first.tag)
        if reply.status != 200 or len(self.provider.requests(tag=first.tag)) > 1:
            raise NotWatched("the response cache was not used")
        return first, replace(first, reply=reply)

    def wait_for_rows(self, *turns: Said) -> None:
        wanted = {turn.tag for turn in turns}

        def written(rows: list[dict]) -> bool:
            return {(row.get("proxy_server_request") or {}).get("max_output_tokens") for row in rows} >= wanted

        wait_for_spend_logs(self.database, written)


def forgets_at_once(watch: Watch) -> bool:
    for number in range(TRIES_AT_ONCE):
        first = watch.say(f"My number is {uuid.uuid4().hex} and {number}.")
        if first.text not in watch.say("What is it?", first).received:
            return True
    return False


def never_finds_streams(watch: Watch) -> bool:
    first = watch.say("Tell me a story.", stream=True)
    watch.wait_for_rows(first)
    return first.text not in watch.say("Go on.", first, stream=True).received


def loses_items(watch: Watch) -> bool:
    first = watch.say("My colour is blue.", as_items=True)
    watch.wait_for_rows(first)
    return first.text not in watch.say("What is it?", first, as_items=True).received


def cuts_long_messages(watch: Watch) -> bool:
    text = "".join(f"{number} " for number in range(LONG_CHARACTERS // 4))[:LONG_CHARACTERS].rstrip()
    first = watch.say(text)
    watch.wait_for_rows(first)
    received = watch.say("And now?", first).received
    return text not in received and any(each.startswith(text[:200]) for each in received)


def mixes_branches(watch: Watch) -> bool:
    root = watch.say("Here is a story.")
    watch.wait_for_rows(root)
    branches = [watch.say(f"Let it end in a {end}.", root) for end in ("wood", "town")]
    watch.wait_for_rows(*branches)
    received = watch.say("No end at all.", root).received
    if root.text not in received:
        raise NotWatched("the history was not found")
    return any(branch.text in received for branch in branches)


def repeats_tool_calls(watch: Watch) -> bool:
    tag_of_call = f"call_{uuid.uuid4().hex[:12]}"
    call = Answer(tool_calls=(ToolCall("look_up", '{"order": 7}', tag_of_call),))
    first = watch.say("Where is order 7?", answer=call, tools=TOOLS)
    watch.wait_for_rows(first)
    result = [{"type": "function_call_output", "call_id": first.reply.calls[0]["call_id"], "output": "on its way"}]
    asked = watch.say("", first, given=result, tools=TOOLS).asked
    return asked is not None and sum(len(each.calls) for each in asked.conversation_as(merge=False)) > 1


def remembers_what_is_not_to_be_stored(watch: Watch) -> bool:
    first = watch.say("This is between us.", store=False)
    watch.wait_for_rows(first)
    return first.text in watch.say("What was that?", first).received


def shares_what_keys_without_a_user_said(watch: Watch) -> bool:
    one, other = (replace(watch, key=_new_key(watch)) for _ in range(2))
    first = one.say("This is mine alone.")
    watch.wait_for_rows(first)
    try:
        if first.text in other.say("What was that?", first).received:
            return True
    except NotWatched:
        return False  # it is refused
    if first.text not in one.say("What was it?", first).received:
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
    tag = next(watch.tags)
    watch.provider.script(Answer(text=f"Answer {tag}."), tag=tag)
    base = str(watch.client.http.base_url).rstrip("/")
    headers = {"authorization": f"Bearer {watch.client.key}"}
    turn = {"input": "What is it?", "previous_response_id": first.id, "max_output_tokens": tag}
    with connect(
        f"{base.replace('http', 'ws', 1)}/v1/responses?model=chat-model", additional_headers=headers, proxy=None
    ) as socket:
        socket.send(json.dumps({"type": "response.create", **turn}))
        event: dict = {"type": ""}
        while event["type"] not in _TERMINAL:
            event = json.loads(socket.recv(timeout=WEBSOCKET_SECONDS))
    asked = watch.provider.requests(tag=tag)
    if not asked:
        raise NotWatched(f"the provider was not asked: {event['type']}")
    return first.text not in Said("", tag, first.reply, asked[0]).received


def shares_what_is_cached(watch: Watch) -> bool:
    one, other = (replace(watch, key=_new_key(watch)) for _ in range(2))
    first, cached = one.say_the_same_as(other, "Which day is it?")
    later = one.say("And this is mine alone.", first)
    watch.wait_for_rows(first, later)
    try:
        received = other.say("And tomorrow?", cached).received
    except NotWatched:
        return True  # the id that it got is refused
    if first.text not in received:
        raise NotWatched("the history was not found")
    return later.text in received


def _new_key(watch: Watch) -> str:
    headers = {"authorization": f"Bearer {watch.client.key}"}
    reply = watch.client.http.post("/key/generate", json={}, headers=headers)
    if reply.status_code != 200:
        raise NotWatched(f"no key can be made: HTTP {reply.status_code}")
    return str(reply.json()["key"])


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
