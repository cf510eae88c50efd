"""The figures as text, for the terminal and for the page."""

from collections.abc import Callable, Mapping, Sequence

from scripts.bench_conversation.item import Item
from scripts.bench_conversation.outcome import Heard, Point, Setting, cut_offs_at, point, wait_at
from scripts.bench_conversation.recipes import HELD_OUT
from scripts.bench_conversation.turns import DELAYS, MODEL, OURS, OURS_DEAF, USUAL, VAD, Bench, Sweep, curve

Curves = Mapping[str, Sequence[Point]]
Sweeps = Mapping[str, Sweep]

GOAL_CUT_OFFS, GOAL_S = 5.0, 0.6
GROUPS: tuple[Callable[[Heard], str], ...] = (
    lambda result: result.item.kind,
    lambda result: result.item.language,
    lambda result: result.item.condition,
)
PARTS: dict[str, Callable[[Item], bool]] = {
    "all": lambda item: True,
    "quiet lines and hiss": lambda item: item.condition in ("clean", "hiss"),
    "music behind the caller": lambda item: item.condition.startswith("music"),
    "voices behind the caller": lambda item: item.condition.startswith("talk"),
    "voices that training had": lambda item: item.voice not in HELD_OUT,
    "voices that it had not": lambda item: item.voice in HELD_OUT,
    "without numbers and spellings": lambda item: item.kind not in ("number", "spelled"),
}

AT = (2.0, 5.0, 10.0, 20.0)
USUAL_SILENCES = (0.5, 0.8, 1.2)
NAMED = {
    OURS: "{} s",
    OURS_DEAF: "{} s",
    VAD: "{} s",
    MODEL: "complete from {}",
    DELAYS: "0.5 s from {}, else 3.0 s",
}


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows)) + "\n"


def named(setting: Setting) -> str:
    """A threshold as it is, two delays as "0.4 to 2"."""
    return f"{setting[0]:g} to {setting[1]:g}" if isinstance(setting, tuple) else f"{setting:g}"


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
        [f"{policy}, {NAMED[policy].format(named(each.setting))}", *_figures(each)]
        for policy, curve in curves.items()
        for each in curve
        if each.setting in (USUAL_SILENCES if policy == VAD else (USUAL[policy],))
    ]
    return markdown(head, rows)


def lead(curves: Curves) -> str:
    """Whether ours is better than each other policy at every wait that both reach."""
    ours = curves[OURS]
    fastest = min(each.p50 for each in ours)
    return "\n".join(
        [
            *(_against(policy, points, ours) for policy, points in curves.items() if policy not in (OURS, OURS_DEAF)),
            f"\nOurs is never faster than {ms(fastest)} ms in the median: the last words have to be there first.\n",
        ]
    )


def _against(policy: str, points: Sequence[Point], ours: Sequence[Point]) -> str:
    """At every wait that either curve has a point at and the other one reaches."""
    waits = sorted({each.p50 for each in (*points, *ours)})
    pairs = [(cut_offs_at(ours, wait), cut_offs_at(points, wait)) for wait in waits]
    compared = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
    better = sum(mine < theirs for mine, theirs in compared)
    return (
        f"* *{policy}*: ours has fewer false cut-offs at {better} of the {len(compared)} median waits that both reach."
    )


def _figures(each: Point) -> list[str]:
    return [f"{each.cut_offs:.1f}", f"{each.turns_cut:.1f}", ms(each.p50), ms(each.p90)]


def whole(policy: str, curve: Sequence[Point]) -> str:
    """Every point of a curve."""
    head = [policy, "false cut-offs, %", "turns cut, %", "wait p50, ms", "p90, ms"]
    return markdown(
        head,
        [[named(each.setting), *_figures(each)] for each in curve],
    )


def verdict(curves: Curves) -> str:
    """The goal and what became of it, in a sentence."""
    found = wait_at(curves[OURS], GOAL_CUT_OFFS)
    if found is None:
        return f"Our curve does not reach {GOAL_CUT_OFFS:g} % false cut-offs.\n"
    met = "met" if found <= GOAL_S else "not met"
    return (
        f"At {GOAL_CUT_OFFS:g} % false cut-offs our policy makes callers wait {ms(found)} ms in the median; "
        f"the goal of {ms(GOAL_S)} ms is {met}.\n"
    )


def breakdown(sweeps: Sweeps) -> str:
    """The delivered settings by kind of turn, by language and by line: false cut-offs % and median wait, ms."""
    results = {policy: sweep[USUAL[policy]] for policy, sweep in sweeps.items()}
    rows = [row for group in GROUPS for row in _rows(results, group)]
    return markdown(["by", "turns", *(f"{policy} ({named(USUAL[policy])})" for policy in sweeps)], rows)


def parts(sweeps: Sweeps, share: float = GOAL_CUT_OFFS) -> str:
    """Each policy's median wait at the goal's share of cut-offs, on parts of the corpus."""
    rows = []
    for name, among in PARTS.items():
        curves = {policy: curve(sweep, among) for policy, sweep in sweeps.items()}
        rows.append([name, *(ms(wait_at(found, share)) for found in curves.values())])
    return markdown([f"median wait, ms, at {share:g} % false cut-offs", *sweeps], rows)


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
