"""A conversation that upstream's lookup gave says so in its header."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.client import ResponsesClient
from lab.lines import Manner
from lab.proxy import Proxy
from lab.redis_server import RedisServer
from tests.e2e.raw import ask, openai_client

from .redis_state import flush
from .talks import Talk


@pytest.mark.parametrize("follow_up_as_a_stream", [False, True], ids=["asked plain", "asked as a stream"])
def test_the_header_names_the_database_where_upstream_continues_from_it(
    conversation: Talk,
    with_patch: ResponsesClient,
    proxy_named: Callable[[str], Proxy],
    mortal_redis: RedisServer,
    upstream_continues: bool,
    follow_up_as_a_stream: bool,
) -> None:
    conversation.say()
    conversation.rows()
    flush(mortal_redis)
    with openai_client(proxy_named("with_patch")) as client:
        follow_up = ask(client, Manner("chat-model", follow_up_as_a_stream), after=conversation.previous)
    assert follow_up.history == ("database" if upstream_continues else "none")
