"""The figures as text, for the terminal and for the page."""

from collections.abc import Callable, Mapping, Sequence

from scripts.bench_conversation.outcome import Heard, Point, cut_offs_at, point, wait_at
from scripts.bench_conversation.turns import DELAYS, MODEL, OURS, OURS_DEAF, USUAL, VAD, Bench

Curves = Mapping[str, Sequence[Point]]

AT = (2.0, 5.0, 10.0, 20.0)
USUAL_SILENCES = (0.5, 0.8, 1.2)
NAMED = {
    OURS: "0.4 to 2.0 s",
    OURS_DEAF: "0.4 to 2.0 s",
    VAD: "{} s",
    MODEL: "complete from {}",
    DELAYS: "0.5 s from {}, else 3.0 s",
}


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows)) + "\n"


def ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def equal(curves: Curves) -> str:
    """What each policy makes callers wait at equal shares of false cut-offs."""
    head = ["median wait, ms, at false cut-offs of", *(f"{share:g} %" for share in AT)]
    return markdown(head, [[policy, *(ms(wait_at(curve, share)) for share in AT)] for policy, curve in curves.items()])


def usual(curves: Curves) -> str:
    """Each policy as it is delivered, and silence alone with its usual thresholds."""
    head = ["as it is delivered", "false cut-offs, % of pauses", "turns cut, %", "wait p50, ms", "p90, ms"]
    rows = [
        [f"{policy}, {NAMED[policy].format(each.setting)}", *_figures(each)]
        for policy, curve in curves.items()
        for each in curve
        if each.setting in (USUAL_SILENCES if policy == VAD else (USUAL[policy],))
    ]
    return markdown(head, rows)


def lead(curves: Curves) -> str:
    """Whether ours is better than each other policy at every wait that both reach."""
    ours, lines = curves[OURS], []
    for policy, curve in curves.items():
        if policy in (OURS, OURS_DEAF):
            continue
        worse = [each for each in curve if (mine := cut_offs_at(ours, each.p50)) is not None and mine >= each.cut_offs]
        compared = sum(cut_offs_at(ours, each.p50) is not None for each in curve)
        verdict = "at every one" if not worse else f"at {compared - len(worse)}"
        lines.append(
            f"* Against *{policy}*: fewer false cut-offs at the same median wait {verdict} of {compared} points."
        )
    return "\n".join(lines) + "\n"


def _figures(each: Point) -> list[str]:
    return [f"{each.cut_offs:.1f}", f"{each.turns_cut:.1f}", ms(each.p50), ms(each.p90)]


def whole(policy: str, curve: Sequence[Point]) -> str:
    """Every point of a curve."""
    head = [policy, "false cut-offs, %", "turns cut, %", "wait p50, ms", "p90, ms"]
    return markdown(
        head,
        [[f"{each.setting:g}", *_figures(each)] for each in curve],
    )


def breakdown(bench: Bench, policies: Sequence[str]) -> str:
    """The delivered settings by kind of turn, by language and by line: false cut-offs % and median wait, ms."""
    results = {policy: bench.results(policy, USUAL[policy]) for policy in policies}
    groups: list[Callable[[Heard], str]] = [
        lambda result: result.item.kind,
        lambda result: result.item.language,
        lambda result: result.item.condition,
    ]
    rows = [row for group in groups for row in _rows(results, group)]
    return markdown(["by", "turns", *(f"{policy} ({USUAL[policy]:g})" for policy in policies)], rows)


def _rows(results: dict[str, list[Heard]], group: Callable[[Heard], str]) -> list[list[str]]:
    names = sorted({group(result) for found in results.values() for result in found})
    rows = []
    for name in names:
        cells = [[result for result in found if group(result) == name] for found in results.values()]
        rows.append([name, str(len(cells[0])), *(_cell(point(0, cell)) for cell in cells)])
    return rows


def _cell(figures: Point) -> str:
    return f"{figures.cut_offs:.0f} % {ms(figures.p50)}"


def listing(bench: Bench, policy: str, slow_s: float = 1.2) -> str:
    """Every turn that was cut, or that took long, with what the daemon says about it."""
    lines = []
    for result in bench.results(policy, USUAL[policy]):
        if any(result.cut) or result.elsewhere or (result.wait or 0) > slow_s:
            item = result.item
            pauses = " ".join(f"{pause.start:.2f}-{pause.end:.2f}" for pause in item.pauses)
            lines.append(f"{item.name} {item.condition} wait {ms(result.wait)}, cut {result.cut} {result.elsewhere}")
            lines.append(f"    {item.text} | pauses {pauses} | ends {item.speech_end:.2f} | {item.asked}")
            found = bench.decisions(policy, USUAL[policy], item)
            lines.extend(f"    at {decision.at:.2f}: {decision.why}" for decision in found)
    return "\n".join(lines)
