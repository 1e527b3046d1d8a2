"""The Responses API through plain `curl`, as a reader of the README would call it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass

TIMEOUT_SECONDS = 120


class CurlFailed(RuntimeError):
    """No curl, no connection, or a reply that is not a response; one sentence."""


@dataclass(frozen=True)
class Said:
    """What one request brought: the id for the next turn, and the text."""

    id: str
    text: str


def ask(
    base_url: str,
    key: str,
    model: str,
    text: str,
    stream: bool = False,
    previous: str | None = None,
) -> Said:
    """One `POST /v1/responses`. Raises CurlFailed."""
    if shutil.which("curl") is None:
        raise CurlFailed("curl is not installed, and the check is made with it")
    payload = {"model": model, "input": text, "stream": stream}
    if previous is not None:
        payload["previous_response_id"] = previous
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--no-buffer",
        "--noproxy",
        "localhost,127.0.0.1",
    ]
    command += ["--max-time", str(TIMEOUT_SECONDS), f"{base_url.rstrip('/')}/v1/responses"]
    command += [
        "--header",
        f"Authorization: Bearer {key}",
        "--header",
        "Content-Type: application/json",
    ]
    done = subprocess.run([*command, "--data", json.dumps(payload)], capture_output=True, check=False)
    if done.returncode:
        raise CurlFailed(done.stderr.decode(errors="replace").strip() or f"curl ended with {done.returncode}")
    return read_stream(done.stdout) if stream else read_response(done.stdout)


def read_response(body: bytes) -> Said:
    try:
        value = json.loads(body)
        parts = [part for item in value["output"] if item["type"] == "message" for part in item["content"]]
        return Said(value["id"], "".join(part.get("text") or "" for part in parts))
    except (ValueError, KeyError, TypeError):
        raise CurlFailed(f"not a response: {body.decode(errors='replace')[:300]}") from None


def read_stream(body: bytes) -> Said:
    """The terminal event holds the whole response."""
    for line in reversed(body.split(b"\n")):
        if line.startswith(b"data:") and b'"response.completed"' in line:
            return read_response(json.dumps(json.loads(line[5:])["response"]).encode())
    raise CurlFailed(f"the stream did not complete: {body.decode(errors='replace')[-300:]}")
