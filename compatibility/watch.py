"""Is there a newer LiteLLM, does the fork fit it, was it tried, and does it remember? For a scheduler.

    python -m compatibility.watch [--play] [--report FILE]

exit codes:
  0   the newest release was tried
  1   the registry cannot be asked
  2   wrong usage
  10  a newer one fits, and each patched function is as in a tried release
  11  a newer one fits, and functions of it differ from every tried release
  12  a newer one does not fit
  20  --play: it was played and remembers everything; patches/tried.json says so now
  21  --play: it was played and does not remember everything, or cannot be played here

The report (Markdown, on standard output or in FILE) says what to do. Nothing is played that does not fit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compatibility import live
from compatibility.proof import unpack
from compatibility.registry import RegistryFailed, fetch_wheel, list_versions
from compatibility.releases import is_final, sort_key, supported
from patches import look_at, open_target
from patches.releases import WITHDRAWN
from patches.tried import read_tried

TRIED, FITS, UNTRIED, UNFIT, REMEMBERS, FORGETS = 0, 10, 11, 12, 20, 21


@dataclass(frozen=True)
class Found:
    """`misfits`: why the fork does not fit. `untried`: functions that differ from every tried release."""

    release: str
    newest_tried: str
    misfits: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        if self.release == self.newest_tried:
            return TRIED
        return UNFIT if self.misfits else UNTRIED if self.untried else FITS


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m compatibility.watch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--play", action="store_true", help="play a newer release that fits (minutes)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="default: standard output")
    options = parser.parse_args(arguments)
    try:
        found = look(list_versions(), newest_tried())
    except (RegistryFailed, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    code = play(found, live.main) if options.play else found.code
    text = report(found, code)
    if options.report:
        options.report.write_text(text)
    else:
        print(text, end="")
    return code


def newest_tried() -> str:
    digests = [each for functions in read_tried().values() for known in functions.values() for each in known.values()]
    return max((release for releases in digests for release in releases.split()), key=sort_key)


def look(available: Sequence[str], tried: str) -> Found:
    """Raises RegistryFailed, and ValueError where the registry has no final release."""
    finals = [each for each in supported(available) if is_final(each) and each not in WITHDRAWN]
    if not finals:
        raise ValueError("the registry names no final release that the fork serves")
    release = finals[-1]
    if sort_key(release) <= sort_key(tried):
        return Found(tried, tried)
    with tempfile.TemporaryDirectory(prefix=f"watch-{release}-") as folder:
        unpack(fetch_wheel(release).path, Path(folder))
        survey = look_at(open_target(Path(folder)))
    return Found(release, tried, tuple(misfit.sentence for misfit in survey.misfits), survey.untried)


def play(found: Found, run: Callable[[Sequence[str]], int]) -> int:
    """`run`: plays releases, given as arguments of the live matrix, and returns 0 where they remember everything."""
    if found.code not in (FITS, UNTRIED):
        return found.code
    return FORGETS if run(["--releases", found.release]) else REMEMBERS


def report(found: Found, code: int) -> str:
    state, then = _WORDS[code]
    lines = [
        f"# LiteLLM {found.release}",
        "",
        f"{state} (newest tried: {found.newest_tried}).",
        "",
        *(f"- does not fit: {sentence}" for sentence in found.misfits),
        *(f"- differs from every tried release: {function}" for function in found.untried),
        *([""] if found.misfits or found.untried else []),
        then.format(release=found.release),
    ]
    return "\n".join(lines) + "\n"


_WORDS = {
    TRIED: ("It is tried", "There is nothing to do."),
    FITS: (
        "It fits, and each patched function is as in a tried release",
        "Play it: `make matrix-live RELEASES={release}`, then commit patches/tried.json.",
    ),
    UNTRIED: (
        "It fits, but it is untried",
        "Read how these functions have changed, then play it: `make matrix-live RELEASES={release}`, and commit "
        "patches/tried.json. Until then `apply` wants --accept-untried there, and images are not built.",
    ),
    UNFIT: (
        "The fork does not fit it",
        "Mend patches/catalogue.txt or patches/needs.txt, try `make matrix RELEASES={release}`, then play it: "
        "`make matrix-live RELEASES={release}`. Until then stay on the release before.",
    ),
    REMEMBERS: (
        "It was played and remembers everything",
        "Commit patches/tried.json. To serve it: build the image with LITELLM_RELEASE={release}.",
    ),
    FORGETS: (
        "It was played and does not remember everything, or could not be played here",
        "Do not serve it: `make matrix-live RELEASES={release}` says which scene failed.",
    ),
}


if __name__ == "__main__":
    sys.exit(main())
