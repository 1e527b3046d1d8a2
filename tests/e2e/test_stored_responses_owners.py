"""Nobody gets, lists, cancels or deletes another's response: to others it is not there."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from redis import Redis

from lab.asking import asking
from lab.custom_auth import bearer
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import ProxyOptions

from .checks import marker, redis_holds
from .raw import openai_client
from .sizes import IDENTITIES
from .test_owners import (
    ALSO_OWNERS,
    OWNERS,
    STRANGERS,
    STREAMS,
    Guarded,
    check_is_heard,
    guarded,  # noqa: F401
    inner_ids,
)
from .test_stored_responses import check_is_not_found, check_is_retrieved, create, input_of, texts_in

pytestmark = IDENTITIES


@STREAMS
@pytest.mark.parametrize("owner", OWNERS)
def test_a_response_is_there_for_its_owner_alone(
    owner: str,
    stream: bool,
    guarded: Guarded,  # noqa: F811
    provider: Provider,
    redis: Redis,
) -> None:
    check_is_heard(owner, guarded)
    secret = marker()
    with openai_client(guarded.proxy, OWNERS[owner]) as sdk:
        response = create(sdk, Manner("chat-model", stream), input=secret)
        with asking(guarded.proxy, provider, key=OWNERS[owner]) as asker:
            inside = inner_ids(redis, asker.ask("And?", response.id), secret)
        for name, key in STRANGERS.items():
            if name != f"other {owner}":
                with openai_client(guarded.proxy, key) as stranger:
                    for response_id in (response.id, *inside):
                        check_is_not_found(stranger, response_id)
        for key in (OWNERS[owner], *filter(None, [ALSO_OWNERS.get(owner)])):
            with openai_client(guarded.proxy, key) as also:
                check_is_retrieved(also, response)
                assert texts_in(input_of(also, response.id)) == [secret]
        sdk.responses.delete(response.id)
        check_is_not_found(sdk, response.id)


@pytest.fixture
def strict(proxies: ProxyPool, strict_options: ProxyOptions) -> Iterator[openai.OpenAI]:
    with openai_client(proxies.get(strict_options), bearer(key="k1")) as client:
        yield client


def test_an_encrypted_response_is_retrieved_and_its_text_is_not_in_redis(
    manner: Manner, strict: openai.OpenAI, redis: Redis
) -> None:
    secret = marker()
    first = create(strict, manner, input="hello", metadata={"secret": secret})
    check_is_retrieved(strict, first)
    assert not redis_holds(redis, secret)
