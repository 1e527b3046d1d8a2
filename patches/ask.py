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
from typing import Any
from urllib.parse import urlsplit

from patches.answer import Answer
from patches.errors import UNEXPECTED, PatchError
from patches.own import read_fork_version

ROUTE = "/health/session_store"
_SECONDS = 30.0


def add_ask_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--proxy", required=True, metavar="URL", help="for example http://127.0.0.1:4000")
    parser.add_argument("--key", help="an administrator's key (default: LITELLM_MASTER_KEY)")


def run_ask(options: argparse.Namespace) -> Answer:
    """Exit code 3 where the fork does not run there. Raises PatchError where nobody knows."""
    told = ask_proxy(options.proxy, options.key or os.environ.get("LITELLM_MASTER_KEY", ""))
    head = f"proxy     {options.proxy}"
    if told is None:
        body = {"proxy": options.proxy, "runs": False, "fork": None, "release": None}
        return Answer(body, (head, f"result    no fork runs there: it has no {ROUTE}"), UNEXPECTED)
    body = {"proxy": options.proxy, "runs": True, **told}
    lines = [head, f"result    fork {told['fork']} runs there, on LiteLLM {told['release']}"]
    if told["fork"] != read_fork_version():
        lines.append(f"note      this tool is of fork {read_fork_version()}")
    return Answer(body, tuple(lines))


def ask_proxy(url: str, key: str) -> dict[str, Any] | None:
    """What the fork says of itself, `fork` and `release` at least; None where the proxy knows no such route."""
    if not key.isprintable():  # the library's own error would show it
        raise PatchError("the key has a line break in it, or the like", "give an administrator's key with --key")
    try:
        request = urllib.request.Request(url.rstrip("/") + ROUTE, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.build_opener(_WithinOrigin).open(request, timeout=_SECONDS) as reply:
            body = json.loads(reply.read())
        return {**body, "fork": str(body["fork"]), "release": str(body["release"])}
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        why = "give an administrator's key with --key" if error.code < 500 else "look into the proxy's log"
        raise PatchError(f"{url}: answers {error.code} {error.reason}", why) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise PatchError(
            f"{url}: cannot be asked ({reason})", "check the address, and that a proxy runs there"
        ) from error
    except (KeyError, TypeError) as error:
        raise PatchError(f"{url}: {ROUTE} does not name fork and release", "is it a LiteLLM proxy?") from error


class _WithinOrigin(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to another scheme, host or port: the library would send the key there, too."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if _origin(newurl) != _origin(req.full_url):
            raise PatchError(
                f"{req.full_url}: sends on to {newurl}, which is another server: it was not asked, and got no key",
                "give --proxy the address of the proxy itself",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
