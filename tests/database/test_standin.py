"""The real, unpatched proxy on a real PostgreSQL over the `prisma` stand-in: keys, spend logs,
upstream's lookup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lab.client import ResponsesClient
from lab.database.postgres import Databases
from lab.database.proxy_env import with_database
from lab.database.queries import fetch
from lab.database.spend_logs import wait_for_spend_logs
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions

pytestmark = pytest.mark.slow

MODEL = "chat-model"
REMEMBERED = "My favourite number is 8128."
QUESTION = "What is my favourite number?"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    with databases.fresh() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def proxy(url: str, provider: Provider) -> Iterator[Proxy]:
    with Proxy(with_database(ProxyOptions(provider.url), url)) as running:
        yield running


def admin(proxy: Proxy, path: str, **body: Any) -> dict[str, Any]:
    """A management call with the master key."""
    headers = {"authorization": f"Bearer {proxy.key}"}
    reply = httpx.post(f"{proxy.url}{path}", json=body, headers=headers, timeout=60, trust_env=False)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.fixture(scope="module")
def member(proxy: Proxy) -> dict[str, str]:
    """A user in a team, with a virtual key of both."""
    user = admin(proxy, "/user/new", user_id="user-of-the-smoke-test", auto_create_key=False)["user_id"]
    team = admin(proxy, "/team/new", team_alias="a team", max_budget=100.0)["team_id"]
    admin(proxy, "/team/member_add", team_id=team, member={"role": "user", "user_id": user})
    key = admin(proxy, "/key/generate", user_id=user, team_id=team, key_alias="a key", models=[MODEL])["key"]
    return {"user": user, "team": team, "key": key}


def said_to_provider(provider: Provider, when: str) -> str:
    """Everything the provider's last matching request contained."""
    return str(provider.requests(when=when)[-1].body["messages"])


def test_a_key_of_a_user_and_team_is_in_the_database(url: str, member: dict[str, str]) -> None:
    rows = fetch(
        url,
        'SELECT user_id, team_id, models FROM "LiteLLM_VerificationToken" WHERE key_alias = $1',
        "a key",
    )
    assert rows == [{"user_id": member["user"], "team_id": member["team"], "models": [MODEL]}]


def test_the_database_s_key_is_let_in_and_another_is_not(proxy: Proxy, member: dict[str, str]) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    statuses = [
        httpx.post(
            f"{proxy.url}/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        ).status_code
        for key in (member["key"], "sk-no-such-key")
    ]
    assert statuses == [200, 401]


def test_a_model_the_key_may_not_use_is_refused(proxy: Proxy, member: dict[str, str]) -> None:
    with ResponsesClient(proxy.url, member["key"]) as client:
        assert client.responses("claude-model", "hello").status in (401, 403)


def test_a_chat_completion_leaves_a_spend_log_with_its_owner(url: str, proxy: Proxy, member: dict[str, str]) -> None:
    headers = {"authorization": f"Bearer {member['key']}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a chat completion"}]}
    reply = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, headers=headers, timeout=60, trust_env=False)
    wanted = reply.json()["id"]
    rows = wait_for_spend_logs(url, lambda rows: any(row["request_id"] == wanted for row in rows))
    row = next(row for row in rows if row["request_id"] == wanted)
    assert (row["user"], row["team_id"], row["status"]) == (
        member["user"],
        member["team"],
        "success",
    )
    assert row["response"]["choices"][0]["message"]["content"].startswith("answer-")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_responses_call_leaves_a_spend_log_with_request_and_response(
    stream: bool, url: str, proxy: Proxy, member: dict[str, str]
) -> None:
    text = f"a responses call, stream {stream}"
    with ResponsesClient(proxy.url, member["key"]) as client:
        reply = client.responses(MODEL, text, stream=stream)
    assert reply.status == 200, reply.body
    rows = wait_for_spend_logs(url, lambda rows: any(text in str(row["proxy_server_request"]) for row in rows))
    row = next(row for row in rows if text in str(row["proxy_server_request"]))
    assert row["request_id"] and row["session_id"] and row["user"] == member["user"]
    assert row["proxy_server_request"]["input"] == text
    assert reply.text in str(row["response"])


def test_a_late_follow_up_gets_its_history_from_the_database(
    url: str, proxy: Proxy, provider: Provider, member: dict[str, str]
) -> None:
    with ResponsesClient(proxy.url, member["key"]) as client:
        first = client.responses(MODEL, REMEMBERED)
        wait_for_spend_logs(url, lambda rows: any(REMEMBERED in str(row["proxy_server_request"]) for row in rows))
        second = client.responses(MODEL, QUESTION, previous_response_id=first.id)
    sent = said_to_provider(provider, "What is my favourite number")
    assert REMEMBERED in sent and first.text in sent
    assert second.text == "Your favourite number is 8128."


def test_a_late_follow_up_of_a_stream_gets_what_upstream_can_give(
    url: str, proxy: Proxy, member: dict[str, str]
) -> None:
    """Upstream's 1.78 – 1.99 invent the id of a stream, so that no row is ever found by it."""
    statement = "In a stream: my favourite number is 496."
    with ResponsesClient(proxy.url, member["key"]) as client:
        first = client.responses(MODEL, statement, stream=True)
        wait_for_spend_logs(url, lambda rows: any(statement in str(row["proxy_server_request"]) for row in rows))
        second = client.responses(MODEL, QUESTION, stream=True, previous_response_id=first.id)
    release = tuple(int(part) for part in proxy.release.split(".")[:2])
    remembers = not (1, 78) <= release < (1, 100)
    assert second.text == ("Your favourite number is 496." if remembers else "I do not know.")


def test_a_turn_and_its_late_follow_up_share_a_session_id(url: str, proxy: Proxy, member: dict[str, str]) -> None:
    with ResponsesClient(proxy.url, member["key"]) as client:
        first = client.responses(MODEL, "the first of a session")
        wait_for_spend_logs(
            url,
            lambda rows: any("the first of a s" in str(r["proxy_server_request"]) for r in rows),
        )
        client.responses(MODEL, "the second of a session", previous_response_id=first.id)
    rows = wait_for_spend_logs(url, lambda rows: any("the second of a" in str(r["proxy_server_request"]) for r in rows))
    sessions = {row["session_id"] for row in rows if "of a session" in str(row["proxy_server_request"].get("input"))}
    assert len(sessions) == 1


def test_the_key_s_spend_is_counted(url: str, member: dict[str, str]) -> None:
    def spend() -> float:
        query = 'SELECT spend FROM "LiteLLM_VerificationToken" WHERE key_alias = $1'
        return fetch(url, query, "a key")[0]["spend"]

    wait_until(lambda: spend() > 0, 60, "the key's spend", interval_seconds=0.2)


def test_the_proxy_says_nothing_about_a_missing_database_feature(proxy: Proxy) -> None:
    log = proxy.log_text()
    assert "prisma stand-in does not know" not in log
    assert "prisma package not found" not in log
