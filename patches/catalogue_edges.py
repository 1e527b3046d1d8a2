"""The patches around the core: a broken stream, WebSocket, the response cache, the proxy's start. Data only.

Files that LiteLLM also uses without the bridge take their helper from the fork's own module, when they are called: the
bridge's modules must not come in with `import litellm`.
"""

from __future__ import annotations

from patches import places as at
from patches.anchors import EndOfFile, TopOfBody
from patches.patch import Edit, Fact, Patch, Returns

_AIOHTTP = "AiohttpResponseStream"

EDGES: tuple[Patch, ...] = (
    Patch(
        slug="redis-session-broken-stream",
        description="A stream whose connection broke is not stored as a whole answer.",
        bug="none known",
        forwarded="no",
        applied_upstream="1.94.0",
        remove_when="no release before 1.94.0 is served",
        facts=(
            Fact(
                "a stream whose connection broke passes for a whole answer",
                "a broken stream",
                at.TRIED,
                since="1.71.2",
                fixed_in="1.94.0",
            ),
        ),
        edits=(
            Edit(
                at.TRANSPORT,
                TopOfBody(f"{_AIOHTTP}.__init__", needs=("aiohttp_response",)),
                "half an answer must not be stored as a whole one",
                ("_patch_note_provider_reply(aiohttp_response)",),
                helper=f"{at.BRIDGE}:note_provider_reply",
                when=(Returns(at.TRANSPORT, until="1.94.0", function=f"{_AIOHTTP}.__aiter__"),),
            ),
        ),
    ),
    Patch(
        slug="redis-session-websocket",
        description="A turn over a WebSocket is looked up and stored as over HTTP: once, and beyond its connection.",
        bug="none known",
        forwarded="no",
        applied_upstream="no",
        remove_when="upstream's WebSocket handler looks up the history that its connection does not have, every time",
        facts=(
            Fact(
                "a WebSocket continues a conversation from before it without that beginning",
                "a WebSocket",
                at.TRIED[1:],  # the first one has none to try
                since="1.82.2",
            ),
        ),
        edits=(
            Edit(
                at.WEBSOCKET,
                TopOfBody(
                    f"{at.WEBSOCKET_HANDLER}._apply_history",
                    needs=("call_kwargs", "previous_response_id", "prior_history"),
                ),
                "each turn is looked up and stored as over HTTP; the connection's memory is for when Redis fails",
                ("if _patch_leave_history_to_redis(call_kwargs, previous_response_id, prior_history):", "    return"),
                helper=f"{at.BRIDGE}:leave_history_to_redis",
                when=at.from_1_82_2("_apply_history"),
            ),
        ),
    ),
    Patch(
        slug="redis-session-response-cache",
        description="LiteLLM's response cache does not hand one caller's response id to another.",
        bug="none known",
        forwarded="no",
        applied_upstream="no",
        remove_when="upstream gives every cached answer a response id of its own",
        facts=(
            Fact(
                "a cached answer leads into the conversation that it was made for",
                "a cached answer",
                at.TRIED,
                since="1.100.0",
            ),
        ),
        edits=(
            Edit(
                at.RESPONSE_CACHE,
                TopOfBody(at.CACHE_SUPPORTS, needs=("self", "original_function")),
                "bridged answers are cached as chat completions only",
                ("if _patch_is_cached_as_chat(self, original_function):", "    return False"),
                helper=f"{at.BRIDGE}:is_cached_as_chat",
            ),
        ),
    ),
    Patch(
        slug="redis-session-start",
        description="The proxy checks the fork's settings at start and says what is active.",
        bug="none: it belongs to the fork itself",
        forwarded="no",
        applied_upstream="no",
        remove_when="all other patches are gone",
        facts=(),
        edits=(
            Edit(
                at.PROXY_SERVER,
                EndOfFile(needs=("app",)),
                "check the settings at start and say what is active",
                ("_patch_announce_at_startup(app)",),
                helper=f"{at.RUNTIME}.doors.startup:announce_at_startup",
            ),
        ),
    ),
)
