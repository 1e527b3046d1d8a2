"""The README's table of what a remembered turn costs, made from the data: a line for each figure that was measured."""

from __future__ import annotations

from collections.abc import Iterator

from .. import documents
from . import results
from .editions import EDITIONS
from .machine import described

TABLE = results.FOLDER.with_name("cost.md")
KILOBYTE, GIGABYTE = 1e3, 1e9
HEAD = """\
Measured with `make bench` on {machine}.
{how}The data is in [bench/results/cost](bench/results/cost).

"""
ON_AND_OFF = "On against off, side by side in one run; off, the client sends the whole conversation itself. "


def text() -> str:
    lines = [f"| {what} | {figure} |" for what, figure in rows()]
    known = sections()
    how = ON_AND_OFF if "turns" in known else ""
    if "editions" in known:
        commits = ", ".join(f"the {edition} is commit {commit}" for edition, commit in EDITIONS.items())
        how += f"Earlier editions (`make bench-editions`): {commits}. "
    if any("edition" in each for each in known.values()):
        how += "Rows that name an edition in brackets are still measurements of that one. "
    head = HEAD.format(machine=described(next(iter(known.values()))["machine"]), how=how)
    return head + "\n".join(["| what | measured |", "|---|---|", *lines]) + "\n"


def write() -> None:
    TABLE.write_text(text())
    documents.put_table("README.md", "cost", text())


def sections() -> dict[str, dict]:
    return {path.stem: results.read(path.stem) for path in sorted(results.FOLDER.glob("*.json"))}


def rows() -> Iterator[tuple[str, str]]:
    known = sections()
    makers = {
        "turns": of_turns,
        "turns_with_metrics": of_metrics,
        "native": of_native,
        "shares": of_shares,
        "store": of_store,
        "follow_up": of_follow_up,
        "editions": of_editions,
        "sizes": of_sizes,
        "conversations": of_conversations,
        "newest": of_newest,
        "scale": of_scale,
    }
    for name, rows_of in makers.items():
        if name in known:
            yield from of_edition(known[name], rows_of(known[name]))
        if name == "store" and {"turns", "store"} <= known.keys():
            yield from of_edition(known["turns"], of_floor(known["turns"], known["store"]))


def of_edition(section: dict, found: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The rows, with the earlier edition that was measured: `results.write` says none."""
    note = f" ({section['edition']})" if "edition" in section else ""
    yield from ((what + note, figure) for what, figure in found)


def the_row(section: dict, side: str, stream: bool, clients: int = 16, turn: str = "both") -> dict:
    wanted = {"side": side, "stream": stream, "clients": clients, "turn": turn}
    (row,) = (row for row in section["rows"] if wanted.items() <= row.items())
    return row


def plain_and_stream(section: dict, side: str, against: str, figure: str, form: str, **of: int) -> str:
    found = (the_row(section, side, stream, **of)[f"against {against}"][figure] for stream in (False, True))
    plain, stream = (value[1] if isinstance(value, list) else value for value in found)
    return f"plain {plain:{form}}, stream {stream:{form}}"


def of_turns(section: dict) -> Iterator[tuple[str, str]]:
    base = [the_row(section, "off", stream)["processor_ms"][1] for stream in (False, True)]
    yield "processor time of a turn, off", f"plain {base[0]:.1f} ms, stream of 40 pieces {base[1]:.1f} ms"
    yield "… on ÷ off", plain_and_stream(section, "on", "off", "processor", ".3f")
    yield "… LiteLLM as released ÷ off", plain_and_stream(section, "pristine", "off", "processor", ".3f")
    medians = [
        [the_row(section, side, stream)["processor_ms"][1] for side in ("on", "pristine")] for stream in (False, True)
    ]
    plain, stream = (on / pristine for on, pristine in medians)
    yield "… on ÷ LiteLLM as released, of the medians", f"plain {plain:.3f}, stream {stream:.3f}"
    yield (
        "requests a second, 16 clients, on ÷ off",
        plain_and_stream(section, "on", "off", "requests_per_second", ".3f"),
    )
    for figure in ("p50", "p99"):
        yield f"{figure} added, 16 clients, ms", plain_and_stream(section, "on", "off", f"{figure}_added_ms", "+.1f")


def of_metrics(section: dict) -> Iterator[tuple[str, str]]:
    figure = plain_and_stream(section, "on, metrics", "off, metrics", "processor", ".3f")
    yield "processor time with LiteLLM's Prometheus metrics, on ÷ off", figure


def of_native(section: dict) -> Iterator[tuple[str, str]]:
    figure = plain_and_stream(section, "native on", "native off", "processor", ".3f")
    yield "processor time of a native turn, `REDIS_SESSION_PATCH_NATIVE` on ÷ off", figure


def of_shares(section: dict) -> Iterator[tuple[str, str]]:
    shown = (f"{'stream' if row['stream'] else 'plain'} {row['fork']:.1%}" for row in section["rows"])
    yield "samples of the proxy at work that were in the fork's own functions (`make profile`)", ", ".join(shown)


def of_store(section: dict) -> Iterator[tuple[str, str]]:
    figures = section["figures"]
    appends = [figures[f"append {turns}"] for turns in (1, 1000)]
    shown = " / ".join(f"{each['ms'][1]:.2f} ms ({each['in_pings']:.1f} pings)" for each in appends)
    yield "a bare PING by redis-py, on loopback", f"{figures['ping']['ms'][1]:.2f} ms"
    yield "storing a turn of 2 kB after 1 / 1,000 turns, the store alone", shown
    loads = " / ".join(f"{figures[f'load {turns}']['ms'][1]:.1f} ms" for turns in (1, 10, 100, 1000))
    yield "loading 1 / 10 / 100 / 1,000 turns of 2 kB", loads
    processor = (figures[name]["processor_ms"] for name in ("ping", "append 1", "load 1"))
    yield "processor time of a bare PING / storing / loading one turn", " / ".join(f"{ms:.2f} ms" for ms in processor)


def of_floor(turns: dict, store: dict) -> Iterator[tuple[str, str]]:
    plain = the_row(turns, "off", stream=False)["processor_ms"][1]
    share = 2 * store["figures"]["ping"]["processor_ms"] / plain
    yield "two bare PINGs, as many round trips as a follow-up's, ÷ processor time of a plain turn", f"{share:.1%}"


def of_follow_up(section: dict) -> Iterator[tuple[str, str]]:
    for edition, ping_ms in section["pings_ms"].items():
        found = [row for row in section["rows"] if row["edition"] == edition]
        turns = " / ".join(str(row["turns"]) for row in found)
        parts = []
        for name in ("read", "store", "both"):
            pings = " / ".join(f"{row[name]['in_second_editions_pings']:.1f}" for row in found)
            parts.append(f"{name} {pings}")
        what = f"processor time of a follow-up in the store after {turns} turns, {edition}"
        yield (
            what,
            f"in the second edition's PINGs: {', '.join(parts)} (a PING of its own client takes {ping_ms:.3f} ms)",
        )


def of_editions(section: dict) -> Iterator[tuple[str, str]]:
    for side in dict.fromkeys(row["side"] for row in section["rows"] if row["side"] != "off"):
        edition = "this edition" if side == "on" else side
        ratios = (plain_and_stream(section, side, "off", name, ".3f") for name in ("processor", "requests_per_second"))
        yield f"{edition} ÷ off, one run: processor time; requests a second", "; ".join(ratios)


def of_sizes(section: dict) -> Iterator[tuple[str, str]]:
    for one in section["rows"]:
        redis, whole = one["redis_bytes"], one.get("whole_histories_bytes")
        text = f"{redis / KILOBYTE:,.1f} kB, {redis / one['raw_json_bytes']:.3f} × the messages as JSON"
        less = f", 1/{whole / redis:.1f} of the whole history with each response" if whole else ""
        yield f"bytes in Redis, all keys: {one['name']}", text + less


def of_conversations(section: dict) -> Iterator[tuple[str, str]]:
    for one in section["bytes"]:
        upstream, fork = (one["postgresql"][side] for side in ("upstream", "fork"))
        redis, with_prompts, without = (
            size / KILOBYTE for size in (one["redis_bytes"], upstream["bytes"], fork["bytes"])
        )
        rows, commits, with_fork = (
            each / one["turns"] for each in (upstream["rows"], upstream["commits"], fork["commits"])
        )
        yield (
            f"through a proxy with a database: {one['name']}",
            f"{redis:,.1f} kB in Redis, {redis / with_prompts:.2f} × upstream's rows ({with_prompts:,.0f} kB;"
            f" without prompts {without:,.0f} kB); rows a turn {rows:.2f}, commits {commits:.1f} / {with_fork:.1f}",
        )
    yield from of_follow_ups(section)


def of_newest(section: dict) -> Iterator[tuple[str, str]]:
    for what, figure in of_follow_ups(section):
        yield f"LiteLLM {section['litellm']}: {what}", figure


def of_follow_ups(section: dict) -> Iterator[tuple[str, str]]:
    figures = [
        f"{one['side']} {one['share']:.0%}, {one['longer_ms'][1]:+.0f} ms longer than the first turn"
        for one in section["at_once"]
    ]
    yield "follow-ups at once with their whole context", "; ".join(figures)
    for side in ("upstream", "fork"):
        found = [one for one in section["lookups"] if one["side"] == side]
        turns = " / ".join(str(one["turns"]) for one in found)
        figure = " / ".join(f"{one['lookup_ms'][1]:+.0f} ms" for one in found)
        yield f"a follow-up after {turns} turns, {side}, against the client sending all", figure


def of_scale(section: dict) -> Iterator[tuple[str, str]]:
    count = section["conversations"]
    memory = section["used_memory_bytes"]
    one, few = section["lookups"][0], section["lookups_among_few"]
    yield (
        f"{count:,} conversations of {section['turns']} turns ({section['text_bytes']:,} bytes of text each)",
        f"{memory / GIGABYTE:.1f} GB of Redis, {memory / count / KILOBYTE:.1f} kB each; lookup"
        f" p50 {one['p50_ms']:.2f} ms (among 400: {few['p50_ms']:.2f} ms), p99 {one['p99_ms']:.2f} ms",
    )
    yield (
        "… start of Redis / erasing a user's 1 % / purge",
        f"{section['start_seconds']:.0f} s / {section['erase_seconds']:.0f} s / {section['purge_seconds']:.0f} s",
    )
