"""`python -m patches ask`: whether the process that answers has the fork in it, and which one.

A tree says what will run; only the proxy says what runs: after `pip install --upgrade` without an `apply`, or in
another of an image's two copies, nobody else would notice.
"""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from patches.answer import Answer
from patches.errors import UNEXPECTED, PatchError
from patches.own import build_of, read_fork_version, read_own_files

ROUTE = "/health/session_store"
_SECONDS = 30.0
_MOST_BYTES = 1 << 20
_CHECK = "check the address, and that a LiteLLM proxy runs there"


def add_ask_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--proxy", required=True, metavar="URL", help="for example http://127.0.0.1:4000")
    parser.add_argument("--key", help="an administrator's key (default: LITELLM_MASTER_KEY)")
    parser.add_argument("--expect", choices=("active", "off"), help="end with 3 where the state is another")


def run_ask(options: argparse.Namespace) -> Answer:
    """Exit code 3 where the fork does not run there, or is in another state than the expected one. Raises PatchError
    where nobody knows."""
    told = ask_proxy(options.proxy, options.key or os.environ.get("LITELLM_MASTER_KEY", ""))
    body = {"proxy": options.proxy, "runs": told is not None, "expected": options.expect}
    lines = [f"proxy     {options.proxy}"]
    if told is None:
        body |= dict.fromkeys(("fork", "build", "release", "state"))
        return Answer(body, (*lines, f"result    no fork runs there: it has no {ROUTE}"), UNEXPECTED)
    ours = {"fork": read_fork_version(), "build": build_of(read_own_files())}
    lines.append(f"result    fork {told['fork']}, build {told['build']}, runs there, on LiteLLM {told['release']}")
    lines.append(f"state     {told['state']}" + (f": {told['why']}" if told["why"] else ""))
    lines += [f"redis     {told['redis']}"] if told["redis"] else []
    lines += [f"problem   {problem}" for problem in told["redis_problems"]]
    lines += [f"breaker   {name}: open since {since}" for name, since in told["breaker_open_since"].items() if since]
    if any(told[name] != mine for name, mine in ours.items()):
        lines.append(f"note      this tool is of fork {ours['fork']}, build {ours['build']}")
    is_as_wanted = options.expect in (None, told["state"])
    lines += [] if is_as_wanted else [f"expected  {options.expect}, found {told['state']}"]
    return Answer({**body, **told}, tuple(lines), 0 if is_as_wanted else UNEXPECTED)


def ask_proxy(url: str, key: str) -> dict[str, Any] | None:
    """What the fork says of itself; None where the proxy knows no such route. Raises PatchError."""
    if not key.isprintable() or not key.isascii():  # the library's own error would show it
        raise PatchError("the key has a line break in it, or the like", "give an administrator's key with --key")
    if not url.startswith(("http://", "https://")):
        raise PatchError(f"{url}: is no address of a proxy", "give --proxy as http://HOST:PORT or https://HOST:PORT")
    try:
        _origin(url)  # ValueError: a port that is none, of which the library makes another one
        request = urllib.request.Request(url.rstrip("/") + ROUTE, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.build_opener(_WithinOrigin).open(request, timeout=_SECONDS) as reply:
            return _read(json.loads(reply.read(_MOST_BYTES)))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        why = "give an administrator's key with --key" if error.code in (401, 403) else "look into the proxy's log"
        raise PatchError(f"{url}: answers {error.code} {_plain(error.reason)}", why) from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PatchError(f"{url}: {ROUTE} does not name fork and release", _CHECK) from error
    except (OSError, ValueError, HTTPException) as error:
        reason = _plain(getattr(error, "reason", None) or error)
        raise PatchError(f"{url}: cannot be asked ({type(error).__name__}: {reason})", _CHECK) from error


def _read(body: dict[str, Any]) -> dict[str, Any]:
    """What is known of an answer; an earlier build's says less. Raises KeyError, TypeError or AttributeError for what
    is none."""
    told: dict[str, Any] = {name: _plain(body.get(name, "unknown")) for name in ("build", "state")}
    told |= {name: _plain(body.get(name, "")) for name in ("why", "redis")}
    told |= {name: _plain("" + body[name]) for name in ("fork", "release")}
    since = {_plain(name): each and _plain(each) for name, each in body.get("breaker_open_since", {}).items()}
    problems = [*map(_plain, body.get("redis_problems", ()))]
    return {**told, "active": body.get("active") is True, "redis_problems": problems, "breaker_open_since": since}


def _plain(said: object) -> str:
    """On one line, and without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in str(said)).strip()


class _WithinOrigin(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another scheme, host or port: the library would send the key there, too."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if _origin(newurl) != _origin(req.full_url):
            sentence = f"{req.full_url}: sends on to {newurl}, which is another server: it got no key"
            raise PatchError(sentence, "give --proxy the address of the proxy itself")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
