"""`make image-test`: builds deploy/Dockerfile on stand-ins for upstream's images, starts them, and checks the result.

It needs Linux, root, `buildah` and a static `busybox`, and no container engine. Ends with 0 when every check held.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from demo.ask import ask_twice
from demo.running import end_on_signals
from lab.provider import Provider
from lab.proxy import MASTER_KEY
from lab.redis_server import RedisServer
from lab.trees import ROOT, installed_release
from tests.deploy import standins
from tests.deploy.buildah import Buildah, why_not
from tests.deploy.starts import APP, CLI, CONFIG, ImageProxy, Start
from tests.deploy.traffic import Fleet, Traffic, answer_slowly
from tests.deploy.versions import FORK

DOCKERFILE = "deploy/Dockerfile"
SOME = 40  # requests
COPIES = {  # what each start of a layout imports
    "classic": ("/app/.venv/lib/", "/app", "/app"),
    "non-root": ("/app/.venv/lib/", "/app", "/app"),
    "gateway": ("/app", "/app", "/app"),
}


class Report:
    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, what: str, holds: bool, detail: object = "") -> bool:
        self.failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'}  {what}", flush=True)
        if not holds and detail:
            print(detail, flush=True)
        return holds


def check_build(buildah: Buildah, report: Report, layout: str) -> bool:
    """Whether there is an image to go on with."""
    image = f"forked-{layout}"
    built = buildah.build(image, DOCKERFILE, "--no-cache", BASE_IMAGE=f"localhost/{layout}")
    if not report(
        f"{layout}: deploy/Dockerfile builds", not built.returncode, built.stdout[-3000:] + built.stderr[-3000:]
    ):
        return False
    said = [line for line in built.stdout.splitlines() if line.startswith(("patched", "asserted"))]
    print("".join(f"        | {line}\n" for line in said), end="")
    asserted = [line.split("imports ")[1] for line in said if line.startswith("asserted")]
    fits = len(asserted) == len(COPIES[layout]) and all(map(str.startswith, asserted, COPIES[layout]))
    report(f"{layout}: each start's own copy has the fork", fits, asserted)
    same = buildah.config(image) == buildah.config(layout)
    report(f"{layout}: user, folder, environment, entrypoint and command are the base's", same, buildah.config(image))
    check_files(buildah, report, layout, image)
    labels = buildah.labels(image)
    version = labels.get("org.opencontainers.image.version")
    report(f"{layout}: labelled {version}", version == f"{installed_release()}-{FORK}", labels)
    return True


def check_files(buildah: Buildah, report: Report, layout: str, image: str) -> None:
    before, after = buildah.files_of(layout), buildah.files_of(image)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    new = {path for path in changed if path not in before}
    ours = ("/opt", "/usr/local/bin/litellm-redis-session")
    odd = {path for path in changed if "/litellm/" not in path and "litellm-" not in path and not path.startswith(ours)}
    report(
        f"{layout}: of {len(before)} paths {len(changed)} are new or differ, all the fork's", not odd, sorted(odd)[:20]
    )
    moved = {path for path in changed - new if before[path][:3] != after.get(path, ())[:3]}
    report(f"{layout}: patched files keep mode and owner", not moved, sorted(moved)[:20])
    marks = {path: after[path][1:3] for path in new if path.endswith(".py") and not path.startswith(ours)}
    owners = {
        after["/app/litellm/main.py"][1:3],
        *(after[path][1:3] for path in after if path.endswith("/litellm/main.py")),
    }
    report(f"{layout}: new files have LiteLLM's owner", set(marks.values()) <= owners, marks)


def check_twice_alike(buildah: Buildah, report: Report, layout: str) -> None:
    again = buildah.build("again", DOCKERFILE, "--no-cache", BASE_IMAGE=f"localhost/{layout}")
    first, second = buildah.layers(f"forked-{layout}"), [] if again.returncode else buildah.layers("again")
    report(f"{layout}: built twice, the same {len(first)} layers", first == second, f"{first}\n{second}")


def check_slim(buildah: Buildah, report: Report, folder: Path) -> None:
    """From the registry's wheels, which are fetched outside: inside there is no way to it."""
    wheels = folder / "wheels"
    fetch = [Path(sys.base_prefix) / "bin/python3", "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
    subprocess.run([*fetch, "-r", ROOT / "requirements/image.txt", "-d", wheels], check=True)
    options = ("--volume", f"{wheels}:/wheels:ro")
    arguments = {"PYTHON_IMAGE": "localhost/slim-base", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    built = buildah.build("slim", "deploy/Dockerfile.slim", *options, **arguments)
    report("deploy/Dockerfile.slim builds", not built.returncode, built.stdout[-3000:] + built.stderr[-3000:])
    user = buildah.config("slim").get("User") if not built.returncode else None
    report(f"slim: runs as {user}, which is not root", user == "65532:65532")


def check_refusals(buildah: Buildah, report: Report) -> None:
    for given, said in (
        ({"LITELLM_RELEASE": "1.2.3"}, f"is LiteLLM {installed_release()}, LITELLM_RELEASE says 1.2.3"),
        ({"FORK_VERSION": "9.9.9"}, f"this is version {FORK} of the fork, FORK_VERSION says 9.9.9"),
        ({"BASE_IMAGE": "localhost/slim-base"}, "this image holds no LiteLLM proxy"),
    ):
        built = buildah.build("refused", DOCKERFILE, **{"BASE_IMAGE": "localhost/classic", **given})
        report(f"no image with {given}: {said}", bool(built.returncode) and said in built.stderr, built.stderr[-2000:])


def check_tool(buildah: Buildah, report: Report, layout: str, redis: RedisServer) -> None:
    with buildah.container(f"forked-{layout}") as container:
        head = (
            "run",
            "--isolation",
            "chroot",
            f"--env=REDIS_URL={redis.url}",
            container,
            "--",
            "litellm-redis-session",
        )
        status = buildah.run(*head, "status", check=False)
        report(
            f"{layout}: the tool inside says patched",
            "state     patched" in status.stdout,
            status.stdout + status.stderr,
        )
        purge = buildah.run(*head, "purge", "--dry-run", check=False)
        report(
            f"{layout}: the tool inside counts keys",
            "keys would be removed" in purge.stdout,
            purge.stdout + purge.stderr,
        )


def remembers(provider: Provider, url: str, stream: bool) -> tuple[bool, object]:
    """Whether the second request reached the provider with the first turn."""
    seen = len(provider.requests())
    outcome = ask_twice(url, MASTER_KEY, "gemini-model", stream)
    later = provider.requests()[seen + 1 :]
    sent = [text for each in later for message in each.conversation for text in message.texts]
    return outcome.statement in sent, sent


def check_conversations(buildah: Buildah, report: Report, starts: dict[Start, bool]) -> None:
    with Provider() as provider, RedisServer() as redis:
        for start, expected in starts.items():
            with ImageProxy(buildah, start, provider.url, redis) as proxy:
                for stream in (False, True):
                    found, sent = remembers(provider, proxy.url, stream)
                    word, mode = "remembered" if expected else "forgotten", "stream" if stream else "plain"
                    report(f"{start}: two curl requests, {mode}: {word}", found is expected, sent)
        check_tool(buildah, report, "classic", redis)
        check_tool(buildah, report, "non-root", redis)


def check_rollout(buildah: Buildah, report: Report) -> None:
    """From upstream's image to the fork's and back, one container after the other, under traffic."""
    with Provider() as provider, RedisServer() as redis:
        provider.responder = answer_slowly
        upstreams, forks = (
            partial(ImageProxy, buildah, Start(image, CLI), provider.url, redis)
            for image in ("classic", "forked-classic")
        )
        with Fleet(upstreams) as fleet, Traffic(fleet, provider) as traffic:
            with traffic.phase("before", SOME):
                pass
            with traffic.phase("in"):
                fleet.roll(forks)
            with traffic.phase("settled", SOME):
                pass
            with traffic.phase("out"):
                fleet.roll(upstreams)
            with traffic.phase("after", SOME):
                pass
        for phase in ("before", "in", "settled", "out", "after"):
            asked, failed = traffic.asked(phase), traffic.failures(phase)
            what = f"under traffic, {phase}: none of {len(asked)} requests failed"
            report(what, bool(asked) and not failed, f"{failed[:3]}\n{fleet.tracebacks()}")
        # What was said before the fork was in everywhere is nowhere.
        lost = traffic.forgotten("settled", "start", "before", "after before", "in")
        report("under traffic, settled: nothing is forgotten", not lost, lost[:3])
        for phase in ("before", "after"):
            report(f"under traffic, {phase}: forgotten", bool(traffic.forgotten(phase)))


STARTS = {
    Start("forked-classic", CLI): True,
    Start("forked-classic", CLI, (("SEPARATE_HEALTH_APP", "1"),)): True,
    Start("forked-non-root", CLI, read_only=True): True,
    Start("forked-gateway", APP, (("CONFIG_FILE_PATH", CONFIG), ("LITELLM_MASTER_KEY", MASTER_KEY))): True,
    Start("slim", CLI): True,
    Start("classic", CLI): False,
}


def main(say: Callable[[str], None] = print) -> int:
    if reason := why_not():
        say(f"error: {reason}")
        return 1
    end_on_signals()
    report = Report()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        buildah = Buildah(folder)
        stack.callback(buildah.end)
        say(f"making stand-ins for upstream's images of LiteLLM {installed_release()} …")
        standins.make_layouts(buildah, folder)
        standins.make_python(buildah)
        say("building deploy/Dockerfile on them …")
        built = [check_build(buildah, report, layout) for layout in standins.LAYOUTS]
        check_refusals(buildah, report)
        if all(built):
            check_twice_alike(buildah, report, "gateway")
            check_slim(buildah, report, folder)
            say("starting the images' proxies, some 30 s each …")
            check_conversations(buildah, report, STARTS)
            say("from upstream's image to the fork's and back under traffic, some minutes …")
            check_rollout(buildah, report)
    say(f"{report.failed} checks failed" if report.failed else "all checks held")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(lambda text: print(text, flush=True)))
