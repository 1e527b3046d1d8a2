"""Looks for stored bytes and ids that do more than be a miss: a coverage-guided fuzzer.

    python -m tests.hostile --seconds 600

Inputs that reach new code are kept in `.build/fuzz`; `--merge` puts the fewest that reach all of it into
`tests/hostile/corpus`, which the tests try too. An input that fails is written to `.build/fuzz/failed-…`.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

import atheris

from lab.trees import BUILD, tree

CORPUS = Path(__file__).with_name("corpus")
WORK = BUILD / "fuzz"
PACKAGE = "litellm.responses.litellm_completion_transformation.redis_session_patch"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--merge", action="store_true")
    # A merge runs this program again, for each part of the inputs, with arguments of its own.
    is_part = "-merge_inner=1" in sys.argv
    arguments = parser.parse_args([] if is_part else None)
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    sys.path.insert(0, str(tree("patched")))
    # All of LiteLLM first, then the fork's own modules once more, so that these alone are instrumented.
    from litellm.responses.litellm_completion_transformation import transformation  # noqa: F401

    ours = [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]
    for name in ours:
        del sys.modules[name]
    for floor in {name.removeprefix(f"{PACKAGE}.").partition(".")[0] for name in ours}:
        delattr(sys.modules[PACKAGE], floor)
    with atheris.instrument_imports(include=[PACKAGE]):
        from . import target
    from .mutating import mutate

    WORK.mkdir(parents=True, exist_ok=True)
    options = [f"-artifact_prefix={WORK}/failed-", "-timeout=20", "-rss_limit_mb=4096"]
    if arguments.merge:
        folders = [str(CORPUS), str(WORK / "corpus")]
        options.append("-merge=1")
    else:
        (WORK / "corpus").mkdir(exist_ok=True)
        folders = [str(WORK / "corpus"), str(CORPUS)]
        options.append(f"-max_total_time={arguments.seconds}")

    def mutate_either(data: bytes, max_size: int, seed: int) -> bytes:
        changed = mutate(data, random.Random(seed)) if seed % 3 else None
        return changed if changed is not None and len(changed) <= max_size else atheris.Mutate(data, max_size)

    given = sys.argv[1:] if is_part else [*options, *folders]
    atheris.Setup([f"{sys.executable} -m {__package__}", *given], target.read, custom_mutator=mutate_either)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
