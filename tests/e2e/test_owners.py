"""A response is continued by its owner alone; to others it is unknown, whatever form of its id they have."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from redis import Redis

from lab.answers import Answer
from lab.asking import Asker, asking, asking_on_socket
from lab.client import Reply, ResponsesClient, parse_reply
from lab.custom_auth import bearer
from lab.exchange import Exchange, texts_of
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MASTER_KEY, Proxy, ProxyOptions
from lab.stored import TURNS, id_at, turns_of

from .checks import check_remembers, forgotten_id, marker, outcome, redis_holds, unknown_id
from .sizes import IDENTITIES
from .upstream import CHECKS_EVERY_KEY

pytestmark = IDENTITIES

OWNERS = {
    "a user": bearer(key="k1", user="alice"),
    "a user in a team": bearer(key="k1", user="alice", team="red"),
    "a team": bearer(key="k1", team="red"),
    "a key with neither": bearer(key="k1"),
    "the master key": MASTER_KEY,
    "an end user alone": bearer(key=None, end_user="eve"),
    "an organization alone": bearer(key=None, organization="acme"),
    "an end user of an organization": bearer(key=None, end_user="eve", organization="acme"),
}
WITHOUT_KEYS = {name: key for name, key in OWNERS.items() if "nobody" in key}
# Who else is the same owner, by another key.
ALSO_OWNERS = {
    "a user": bearer(key="k2", user="alice"),
    "a user in a team": bearer(key="k2", user="alice", team="red"),
    "a team": bearer(key="k2", team="red"),
}
STRANGERS = {
    **{f"other {name}": key for name, key in OWNERS.items()},
    "another user": bearer(key="k1", user="bob"),
    "the user in another team": bearer(key="k1", user="alice", team="blue"),
    "another team": bearer(key="k1", team="blue"),
    "another key": bearer(key="k3"),
    "another end user": bearer(key=None, end_user="mallory"),
    "an end user of another organization": bearer(key=None, end_user="eve", organization="umbrella"),
    "another organization": bearer(key=None, organization="umbrella"),
    "somebody of whom nothing is known": bearer(key=None),
}
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@dataclass(frozen=True)
class Guarded:
    """A proxy, and whether upstream's own check of response ids is on."""

    proxy: Proxy
    is_secured: bool


@pytest.fixture(params=[True, False], ids=["secured", "unsecured"], scope="module")
def guarded(request: pytest.FixtureRequest, proxies: ProxyPool, identity_options: ProxyOptions) -> Guarded:
    options = identity_options
    if not request.param:
        options = replace(options, general_settings={"disable_responses_id_security": True})
    return Guarded(proxies.get(options), request.param)


@pytest.fixture
def anyone(guarded: Guarded, provider: Provider) -> Iterator[Asker]:
    with asking(guarded.proxy, provider) as asker:
        yield asker


def inner_ids(redis: Redis, first: Exchange, text: str) -> set[str]:
    """Every other form of the response's id: forged with its place, of the provider, what is inside the client's."""
    (turns,) = [key for key in redis.scan_iter(TURNS) if text.encode() in b"".join(turns_of(redis, key).values())]
    conversation = turns.partition(b"{")[2].partition(b"}")[0].decode()
    (turn,) = [each.decode() for each, data in turns_of(redis, turns).items() if text.encode() in data]
    known = unwrapped(first.id)
    forged = id_at(conversation, int(turn), "anything")
    wrapped = base64.b64encode(f"litellm:custom_llm_provider:a;model_id:b;response_id:{forged}".encode()).decode()
    return {forged, f"resp_{wrapped}", known, known.partition(";")[0]} - {first.id}


def unwrapped(response_id: str) -> str:
    try:
        return base64.b64decode(response_id.removeprefix("resp_"), validate=True).decode().rpartition("response_id:")[2]
    except ValueError:
        return response_id


def check_is_heard(owner: str, guarded: Guarded) -> None:
    """Skips where upstream itself refuses, before the fork is asked, callers without a user, team or key."""
    if guarded.is_secured and CHECKS_EVERY_KEY and owner in WITHOUT_KEYS:
        pytest.skip("this release refuses them itself, unless disable_responses_id_security is set")


@STREAMS
@pytest.mark.parametrize("owner", OWNERS)
def test_the_owner_continues_by_the_id_that_it_got(owner: str, stream: bool, guarded: Guarded, anyone: Asker) -> None:
    check_is_heard(owner, guarded)
    asker = anyone.as_key(OWNERS[owner]).with_manner(stream=stream)
    first = asker.ask("I am here.")
    check_remembers(asker, first, ["I am here."])
    if owner in ALSO_OWNERS:
        check_remembers(asker.as_key(ALSO_OWNERS[owner]), first, ["I am here."])


@STREAMS
@pytest.mark.parametrize("owner", OWNERS)
def test_to_anybody_else_a_response_is_unknown(
    owner: str, stream: bool, guarded: Guarded, anyone: Asker, redis: Redis
) -> None:
    check_is_heard(owner, guarded)
    asker = anyone.with_manner(stream=stream)
    secret, raw_id = marker(), f"chatcmpl-{marker()}"
    first = asker.as_key(OWNERS[owner]).ask(secret, answer=Answer(f"re {secret}", id=raw_id))
    inside = {raw_id, *inner_ids(redis, first, secret)}
    for name, key in STRANGERS.items():
        if name != f"other {owner}":
            check_is_unknown_to(asker.as_key(key), first, inside, guarded.is_secured)
    check_remembers(asker.as_key(OWNERS[owner]), first, [secret])


def check_is_unknown_to(stranger: Asker, first: Exchange, inside: set[str], is_secured: bool) -> None:
    unknown = outcome(stranger, unknown_id())
    assert {response_id: outcome(stranger, response_id) for response_id in inside} == dict.fromkeys(inside, unknown)
    got = outcome(stranger, first.id)
    # Upstream's own check refuses an id that names another user or team, before the store is asked.
    if not (is_secured and got[:2] == (403, None)):
        assert got == outcome(stranger, forgotten_id(stranger))


@STREAMS
def test_without_a_master_key_each_bearer_has_its_own_conversations(
    stream: bool, proxies: ProxyPool, open_options: ProxyOptions, provider: Provider, redis: Redis
) -> None:
    proxy = proxies.get(open_options)
    with asking(proxy, provider, Manner("chat-model", stream), key="sk-one") as one:
        secret = marker()
        first = one.ask(secret)
        check_remembers(one, first, [secret])
        other = one.as_key("sk-other")
        unknown = outcome(other, unknown_id())
        assert unknown[:2] != (200, None), "the provider was not asked"
        for response_id in {first.id, *inner_ids(redis, first, secret)}:
            assert outcome(other, response_id) == unknown


NOBODY = bearer(key=None)


@STREAMS
@pytest.mark.parametrize("claimed", [{}, {"user": "eve"}], ids=["nothing", "an end user that it names itself"])
def test_a_caller_of_whom_nothing_is_known_owns_nothing(
    claimed: dict, stream: bool, anyone: Asker, redis: Redis
) -> None:
    """What a request says of its own end user is no authentication: anybody can say it."""
    nobody, secret = anyone.as_key(NOBODY).with_manner(stream=stream), marker()
    first = nobody.ask(secret, **claimed)
    assert first.status == 200 and not redis_holds(redis, secret)
    check_knows_nothing(nobody, first, **claimed)
    url = f"/v1/responses/{first.id}"
    for method in ("GET", "DELETE"):
        reply = anyone.client.http.request(method, url, headers={"authorization": f"Bearer {NOBODY}"})
        assert reply.status_code in (403, 404), reply.text


@STREAMS
def test_an_end_user_whom_the_request_names_is_not_the_authenticated_one(stream: bool, anyone: Asker) -> None:
    first = anyone.as_key(OWNERS["an end user alone"]).with_manner(stream=stream).ask(marker())
    for impostor in (NOBODY, STRANGERS["another end user"]):
        check_knows_nothing(anyone.as_key(impostor).with_manner(stream=stream), first, user="eve")


def check_knows_nothing(asker: Asker, first: Exchange, **params: Any) -> None:
    second = asker.ask("And then?", first, **params)
    assert second.status == 403 or second.said == ["And then?"]


@STREAMS
def test_a_stored_response_of_an_end_user_or_an_organization_is_its_owner_s_alone(stream: bool, anyone: Asker) -> None:
    for owner in ("an end user alone", "an organization alone", "an end user of an organization"):
        first = anyone.as_key(OWNERS[owner]).with_manner(stream=stream).ask(marker())
        statuses = {
            name: anyone.client.http.get(
                f"/v1/responses/{first.id}", headers={"authorization": f"Bearer {key}"}
            ).status_code
            for name, key in {**OWNERS, **STRANGERS}.items()
            if key != OWNERS[owner]
        }
        assert set(statuses.values()) <= {403, 404}, statuses
        got = anyone.client.http.get(f"/v1/responses/{first.id}", headers={"authorization": f"Bearer {OWNERS[owner]}"})
        assert got.status_code == 200


@STREAMS
def test_without_a_master_key_all_who_send_no_key_are_one_tenant(
    stream: bool, proxies: ProxyPool, open_options: ProxyOptions, provider: Provider
) -> None:
    proxy, secret = proxies.get(open_options), marker()
    first = without_a_key(proxy, secret, stream=stream)
    body = {"model": "chat-model", "input": "And then?", "previous_response_id": first.id, "user": "somebody"}
    with ResponsesClient(proxy.url, "") as client:
        assert client.http.post("/v1/responses", json=body).status_code == 200
    (request,) = provider.requests(when="And then")
    assert texts_of(request.conversation) == [secret, first.text, "And then?"]


def without_a_key(proxy: Proxy, text: str, stream: bool) -> Reply:
    with ResponsesClient(proxy.url, "") as client:
        return parse_reply(
            client.http.post("/v1/responses", json={"model": "chat-model", "input": text, "stream": stream})
        )


def test_who_is_named_by_a_header_that_the_operator_trusts_is_who_asks(
    proxies: ProxyPool, identity_options: ProxyOptions, provider: Provider
) -> None:
    """LiteLLM's user_header_mappings, by which a web front end says which of its users asks."""
    mapping = {"header_name": "X-User", "litellm_user_role": "internal_user"}
    proxy = proxies.get(replace(identity_options, general_settings={"user_header_mappings": [mapping]}))
    key = bearer(key="front-end")
    with asking(proxy, provider, key=key) as asker:
        asker.client.http.headers["X-User"] = "alice"
        first = asker.ask("I am here.")
        check_remembers(asker, first, ["I am here."])
        url, authorization = f"/v1/responses/{first.id}", {"authorization": f"Bearer {key}"}
        assert asker.client.http.get(url, headers=authorization).status_code == 200
        asker.client.http.headers["X-User"] = "bob"
        check_knows_nothing(asker, first)
        assert asker.client.http.get(url, headers=authorization).status_code in (403, 404)
    with asking_on_socket(proxy, provider, "chat-model", key) as socket:
        one = socket.ask("one")
        assert socket.ask("two", one).said == ["one", one.reply.text, "two"]
