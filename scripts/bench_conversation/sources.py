"""Where the recordings come from, as a table: package, licence, who, how much."""

from collections.abc import Sequence

from scripts.bench_conversation import packages
from scripts.bench_conversation.packages import PACKAGES
from scripts.bench_conversation.recordings import Recording
from scripts.bench_conversation.tables import markdown


def table(recordings: Sequence[Recording]) -> str:
    """One row a package that holds recordings; transcripts come from its neighbours."""
    rows = []
    for package in PACKAGES:
        mine = [each for each in recordings if package.voices and each.voice.startswith(package.voices)]
        if mine:
            minutes = sum(each.audio.size for each in mine) / 8000 / 60
            rows.append([f"`{package.name}`", package.credit, package.licence, str(len(mine)), f"{minutes:.0f}"])
    return markdown(["package", "by", "licence", "recordings used", "minutes"], rows)


def strangers() -> list[str]:
    """Packages whose recordings are not those that the page was made from."""
    return packages.strangers(packages.recordings())
