"""A real LiteLLM proxy as a process, in front of the stand-in provider."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .chat_models import CHAT_MODELS, model_of
from .native_models import NATIVE_MODELS
from .processes import Child, ProcessFailed, free_port, wait_until
from .trees import BUILD, installed_release

CRASHED = "Fatal Python error"
CRASH_LINES = 200  # enough for the threads of a proxy and of two workers
START_SECONDS = 180  # some 25 s of work on two cores, more when several start at once
MASTER_KEY = "sk-test-master-7f3a9c51"
MODELS = ("gemini-model", "claude-model", "chat-model")
FORMAT_OF_MODEL = {
    "gemini-model": "gemini",
    "claude-model": "anthropic",
    "chat-model": "chat",
    **dict.fromkeys(map(model_of, CHAT_MODELS), "chat"),
    **dict.fromkeys(NATIVE_MODELS, "responses"),
}
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SSL_CERT_FILE",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
)


def gemini_base(provider_url: str, model: str, release: str) -> str:
    """Up to 1.7x LiteLLM puts only `:generateContent` behind a Gemini `api_base`; later ones
    `/models/<model>` too.
    """
    major, minor = (int(part) for part in release.split(".")[:2])
    return f"{provider_url}/v1beta/models/{model}" if (major, minor) < (1, 78) else f"{provider_url}/v1beta"


def stand_in_models(provider_url: str, release: str) -> list[dict]:
    """The three bridged models, as entries of `model_list`. Further ones: `lab.chat_models`, `lab.native_models`."""
    bases = {
        "gemini-model": (
            "gemini/gemini-2.5-flash",
            gemini_base(provider_url, "gemini-2.5-flash", release),
        ),
        "claude-model": ("anthropic/claude-sonnet-4-5", provider_url),
        "chat-model": ("deepseek/deepseek-chat", provider_url),
    }
    return [
        {
            "model_name": name,
            "litellm_params": {"model": model, "api_base": base, "api_key": "stand-in-key"},
        }
        for name, (model, base) in bases.items()
    ]


@dataclass(frozen=True)
class ProxyOptions:
    """How a proxy differs from the plain one.

    tree: first on the path, so its `litellm/` runs; None runs the installed one.
    environment: added to an otherwise clean environment (REDIS_*, REDIS_SESSION_PATCH_*,
        DATABASE_URL …).
    """

    provider_url: str
    tree: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    models: tuple[dict, ...] | None = None  # entries of model_list; None: the three stand-ins
    litellm_settings: Mapping[str, object] = field(default_factory=dict)
    general_settings: Mapping[str, object] = field(default_factory=dict)
    router_settings: Mapping[str, object] = field(default_factory=dict)
    num_workers: int = 1
    custom_auth: bool = False
    master_key: str | None = MASTER_KEY
    python_path: tuple[Path, ...] = ()  # before the tree
    path: tuple[Path, ...] = ()  # before PATH
    port: int | None = None
    host: str = "127.0.0.1"
    log: Path | None = None
    extra_files: Mapping[str, str] = field(default_factory=dict)  # written beside config.yaml
    python: Path | None = None  # of another environment, in which another release is installed


class Proxy:
    """`start()` returns at once, `wait_until_ready()` waits: so several can start together. As a
    context it does both.
    """

    def __init__(self, options: ProxyOptions, release: str | None = None) -> None:
        self.options = options
        self.release = release or installed_release()
        self.port = options.port or free_port()
        self.key = options.master_key or "sk-anything"
        self._child: Child | None = None
        self._folder: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self) -> dict:
        options = self.options
        general = dict(options.general_settings)
        if options.master_key:
            general["master_key"] = options.master_key
        if options.custom_auth:
            general["custom_auth"] = "custom_auth.user_api_key_auth"
        models = options.models or tuple(stand_in_models(options.provider_url, self.release))
        return {
            "model_list": list(models),
            "litellm_settings": {"telemetry": False, "num_retries": 0, **options.litellm_settings},
            "general_settings": general,
            "router_settings": {
                "num_retries": 0,
                "disable_cooldowns": True,
                **options.router_settings,
            },
        }

    def environment(self) -> dict[str, str]:
        options = self.options
        python_path = [*options.python_path, *([options.tree] if options.tree else [])]
        clean = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        clean["PATH"] = os.pathsep.join([*map(str, options.path), clean.get("PATH", os.defpath)])
        clean.update(
            PYTHONPATH=os.pathsep.join(map(str, python_path)),
            PYTHONUNBUFFERED="1",
            PYTHONFAULTHANDLER="1",
            # LiteLLM's finalizer of a stream sets context variables, which crashes CPython where the collector runs in
            # the middle of another set (README, "Limits"). Rarer collections make that rare.
            PYTHON_GC_THRESHOLD="200000,10,10",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
            LITELLM_LOCAL_BLOG_POSTS="True",
            NO_PROXY="*",
        )
        if options.master_key:
            clean["LITELLM_MASTER_KEY"] = options.master_key
        clean.update(options.environment)
        return clean

    def command(self) -> list[str]:
        command = [
            str((self.options.python or Path(sys.executable)).with_name("litellm")),
            "--config",
            str(self._folder / "config.yaml"),
        ]
        command += ["--host", self.options.host, "--port", str(self.port)]
        command += ["--num_workers", str(self.options.num_workers)]
        # uvicorn takes a worker that still imports on a busy machine for dead; gunicorn imports once, and forks.
        return [*command, "--run_gunicorn"] if self.options.num_workers > 1 else command

    def start(self) -> Proxy:
        self._folder = Path(tempfile.mkdtemp(prefix="proxy-"))
        (self._folder / "config.yaml").write_text(json.dumps(self.config(), indent=1))  # JSON is YAML
        if self.options.custom_auth:
            shutil.copy(Path(__file__).with_name("custom_auth.py"), self._folder)
        for name, text in self.options.extra_files.items():
            (self._folder / name).write_text(text)
        self._launch()
        return self

    def _launch(self) -> None:
        log = self.options.log or self._folder / "proxy.log"
        self._child = Child(self.command(), log, env=self.environment(), cwd=self._folder)

    def wait_until_ready(self, seconds: float = START_SECONDS, on_wait: Callable[[], None] | None = None) -> Proxy:
        """Raises ProcessFailed, with the end of the log, when it ends or is not ready in time: then it also says where
        each thread is.
        """
        what = f"the proxy on {self.url}"
        # gunicorn forks while a thread of LiteLLM's imports: a worker then waits for that import for ever (3 of 33
        # starts of 1.110.2, once twice in a row). Such a start is made again, twice.
        for _ in range(2) if self.options.num_workers > 1 else ():
            with contextlib.suppress(ProcessFailed):
                wait_until(self.is_up, seconds / 3, what, 0.2, self._child, on_wait)
                return self
            self.kill()
            self._child.log.unlink()
            self._launch()
        try:
            wait_until(self.is_up, seconds, what, 0.2, self._child, on_wait)
        except ProcessFailed as error:
            if not self.is_running():
                raise
            self.signal(signal.SIGSEGV)  # gunicorn handles SIGABRT itself
            with contextlib.suppress(ProcessFailed):
                wait_until(lambda: not self.is_running(), 5, f"the end of {what}")
            raise ProcessFailed(f"{error}\n{self.last_words()}") from None
        return self

    def is_up(self) -> bool:
        """Whether it answers, and of several workers each one can."""
        workers = self.options.num_workers
        if workers > 1 and self.log_text().count("Application startup complete") < workers:
            return False
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/health/liveliness", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_alive()

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code

    @property
    def pid(self) -> int:
        return self._child.pid

    def log_text(self) -> str:
        return self._child.log_text()

    def signal(self, number: int) -> None:
        self._child.signal(number)

    def kill(self) -> None:
        self._child.kill()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._keep_crash()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def last_words(self) -> str:
        """What Python said where it crashed, or else the end of the log."""
        return "\n".join(self._crash().splitlines()[:CRASH_LINES]) or self._child.log_tail()

    def _crash(self) -> str:
        _, crashed, said = self.log_text().partition(CRASHED)
        return crashed + said

    def _keep_crash(self) -> None:
        """What Python said when it crashed outlives the folder: in `.build/crash-<pid>.log`."""
        if crash := self._crash():
            (BUILD / f"crash-{self.pid}.log").write_text(crash)

    def __enter__(self) -> Proxy:
        try:
            return self.start().wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()
