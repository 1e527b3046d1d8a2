"""What a remembered turn costs, measured section by section, and the README's table of it.

    python -m bench.cost                      all that `make bench` measures
    python -m bench.cost store --factor 4     one section, with four times the rounds
    python -m bench.cost table                the table anew, from the data that is there

Data goes to `bench/results/cost/`, the table to `bench/results/cost.md` and into the README.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from . import results, table

SHORT = ("turns", "native", "store", "sizes", "conversations")
EARLIER = ("follow_up", "editions")  # beside earlier editions, from the history of the repository
SECTIONS = (*SHORT, *EARLIER, "newest", "shares", "scale", "table")


def measure(section: str, factor: int) -> None:
    # Each brings what it needs: the table needs no LiteLLM.
    if section == "turns":
        from . import turns

        turns.main(factor)
    elif section == "native":
        from . import turns

        turns.native(factor)
    elif section == "store":
        from . import store

        store.main(factor)
    elif section == "follow_up":
        from . import follow_up

        follow_up.main(factor)
    elif section == "editions":
        from . import turns

        turns.beside_earlier_editions(factor)
    elif section == "sizes":
        from . import sizes

        sizes.main()
    elif section == "conversations":
        from . import conversations

        conversations.main(factor)
    elif section == "newest":
        from . import newest

        newest.main()
    elif section == "shares":
        from . import shares

        shares.main()
    elif section == "scale":
        from . import scale

        scale.main()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=SHORT, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--factor", type=int, default=1, metavar="N", help="times as many rounds (1)")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    # So that what was started is ended, when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for section in options.sections:
        started = time.monotonic()
        results.progress(f"{section}:")
        measure(section, options.factor)
        results.progress(f"  {time.monotonic() - started:.0f} s in all")
        table.write()
    print(table.text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
