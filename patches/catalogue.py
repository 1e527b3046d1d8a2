"""What the fork inserts into LiteLLM, where, and why: data only.

The order of the patches is the order of writing: definitions before their users, so that a run that is killed half-way
leaves a package that still imports. Inserted lines are ASCII.
"""

from __future__ import annotations

from patches import places as at
from patches.anchors import BeforeReturn, DecoratorOn, EndOfFile
from patches.catalogue_edges import EDGES
from patches.patch import Edit, Fact, Patch

_ISSUE = "https://github.com/BerriAI/litellm/issues/"
_PULL = "https://github.com/BerriAI/litellm/pull/"

_NO_DATABASE = Fact("without a database there is no memory", "string input", at.TRIED)
_LATE = Fact(
    "rows are written up to 10 s late, so a quick follow-up has no memory",
    "a follow-up at once",
    at.TRIED,
    fixed_in="1.100.0",
    fixed_by="PR #37956",
)

# Every name of the fork's that the bridge calls, and the one that stores where the reply leaves, so that a reader of
# transformation.py sees the whole patch.
_NAMES = {
    "remember_request": "around the handler: the history goes in, what the model answers is kept",
    "get_session_from_redis": "around the session handler: Redis first, then upstream's lookup",
    "note_history": "around upstream's lookup, from 1.75.2: what it finds is stored with the answer",
    "note_rows": "around the reading of spend logs, from 1.75.2: the caller's own, and who took part",
    "get_stored_turns_from_redis": "around the lookup of tools that a client's searches loaded, from 1.109",
    "keep_answer": "before a plain reply goes back: the model's answer is kept, the id gets its place",
    "store_session_in_redis": "where a reply leaves the proxy: stores the turn before the client has it",
    "store_stream_in_redis": "around a stream's next event: one id in all events, and the answer is kept",
    "without_known_calls": "upstream's cache of tool calls: each caller's own",
    "count_with_redis": "around the counting of tokens, from 1.109: counts the history that Redis has",
}


def _all_names() -> tuple[str, ...]:
    lines = [f"from {at.BRIDGE} import ("]
    for name, what in _NAMES.items():
        lines += [f"    # {what}", f"    {name} as _patch_{name},"]
    return (*lines, ")")


_CORE: tuple[Patch, ...] = (
    Patch(
        slug="redis-session-helpers",
        description="The fork's helpers, and for each caller only their own tool calls.",
        bug=f"{_ISSUE}15178",
        forwarded="no",
        applied_upstream="no",
        remove_when="all other patches are gone",
        facts=(Fact("a tool's call reaches the provider twice", "a tool call", at.TRIED),),
        edits=(
            Edit(
                at.TRANSFORMATION,
                EndOfFile(needs=("TOOL_CALLS_CACHE",)),
                "the fork's helpers, and for each caller only their own tool calls",
                (*_all_names(), "", "TOOL_CALLS_CACHE = _patch_without_known_calls(TOOL_CALLS_CACHE)"),
            ),
        ),
    ),
    Patch(
        slug="redis-session-lookup",
        description="A follow-up reads Redis first; unknown ids go on to upstream's lookup.",
        bug=f"{_ISSUE}12364",
        forwarded=f"{_PULL}13339 (closed, not merged)",
        applied_upstream=f"in part, 1.100.0: {_PULL}37956 (a follow-up waits for its row)",
        remove_when="upstream's lookup returns a conversation at once, whole, per branch, and only to its owner",
        facts=(
            _NO_DATABASE,
            Fact(
                "list-shaped input loses the client's messages on replay",
                "input as a list",
                at.TRIED,
                fixed_in="1.100.0",
                fixed_by="PR #37956",
            ),
            Fact("branches mix: a follow-up sees every row of the session", "siblings", at.TRIED),
            Fact("keys without a user read each other's history", "keys without a user", at.TRIED, fixed_in="1.110.0"),
            Fact("an unknown id is answered without a history and without an error", "an unknown id", at.TRIED),
        ),
        edits=(
            Edit(
                at.TRANSFORMATION,
                DecoratorOn(at.SESSION_STEP),
                "read Redis before the database",
                helper=f"{at.BRIDGE}:get_session_from_redis",
            ),
            Edit(
                at.SESSION,  # transformation.py imports this file
                DecoratorOn(at.HISTORY),
                "what the database gave is stored with the answer",
                helper=f"{at.BRIDGE}:note_history",
                when=at.FROM_1_75_2,
            ),
            Edit(
                at.SESSION,
                DecoratorOn(at.SPEND_LOGS),
                "the caller's own rows alone; an erasure must find everybody whose words the database gave",
                helper=f"{at.BRIDGE}:note_rows",
                when=at.FROM_1_75_2,
            ),
            Edit(
                at.SESSION,
                DecoratorOn(at.STORED_TURNS),
                "tools that a client's searches loaded, of a conversation in Redis",
                helper=f"{at.BRIDGE}:get_stored_turns_from_redis",
                when=at.FROM_1_109,
            ),
            Edit(
                at.TOKEN_COUNT,
                DecoratorOn("chat_count_request"),
                "count the history that Redis has",
                helper=f"{at.HELPERS}:count_with_redis",
                when=at.FROM_1_109_COUNT,
            ),
        ),
    ),
    Patch(
        slug="redis-session-store",
        description="A plain reply is stored in Redis before it leaves, so that its id works at once.",
        bug=f"{_ISSUE}12364",
        forwarded=f"{_PULL}13339 (closed, not merged)",
        applied_upstream=f"in part, 1.100.0: {_PULL}37956 (rows are written as soon as a call ends)",
        remove_when="upstream commits a turn, whole, before it answers",
        facts=(
            _NO_DATABASE,
            _LATE,
            Fact("long messages are cut", "a long message", at.TRIED),
            Fact("`store: false` is remembered", "a turn not to be stored", at.TRIED),
        ),
        edits=(
            Edit(
                at.HANDLER,
                DecoratorOn(at.HANDLE),
                "a history goes in, and what the model answers is kept",
                helper=f"{at.HELPERS}:remember_request",
            ),
            Edit(
                at.HANDLER,
                BeforeReturn(at.HANDLE, "responses_api_response", needs=("litellm_completion_response",)),
                "the answer is kept until its reply leaves",
                ("_patch_keep_answer(responses_api_response, litellm_completion_response)",),
                helper=f"{at.HELPERS}:keep_answer",
            ),
            Edit(
                at.ROUTING,
                DecoratorOn("route_request"),
                "what the client said, before anything of LiteLLM's is in it",
                helper=f"{at.OUTER_DOOR}:take_client_request",
            ),
        ),
    ),
    Patch(
        slug="redis-session-store-stream",
        description="A streamed reply is stored in Redis before its terminal event leaves.",
        bug=f"{_ISSUE}26167",
        forwarded="no",
        applied_upstream=f"in part, 1.100.0: {_PULL}37956 (one id in all events, which the database finds)",
        remove_when="upstream commits a streamed turn, whole, under the id it hands out, before its terminal event",
        facts=(
            _NO_DATABASE,
            _LATE,
            Fact(
                "streams hand out ids that the database never finds",
                "a streamed turn",
                at.TRIED,
                since="1.82.2",
                fixed_in="1.100.0",
                fixed_by="PR #37956",
            ),
        ),
        edits=(
            Edit(
                at.STREAMING,
                DecoratorOn(at.NEXT_EVENT),
                "one id in all events, and the answer is kept until its terminal event leaves",
                helper=f"{at.HELPERS}:store_stream_in_redis",
            ),
        ),
    ),
)

PATCHES: tuple[Patch, ...] = (*_CORE, *EDGES)


def upstream_files() -> tuple[str, ...]:
    """Every upstream file that any release may have patched, in order of writing."""
    return tuple(dict.fromkeys(edit.file for patch in PATCHES for edit in patch.edits))
