"""What the API made, held against the administrator's file: what is there twice, what leads nowhere. Warnings only:
a telephone system must not stay down for it."""

from typing import TYPE_CHECKING

from sovereign_pbx.assistants.directory import Directory, Number, normal
from sovereign_pbx.assistants.problem import Report
from sovereign_pbx.store.object_files import folder_of

if TYPE_CHECKING:
    from sovereign_pbx.config import Config


def check_made(config: "Config", report: Report) -> None:
    """Report it."""
    _check_twins(config, report)
    directory, taken = config.directory, {normal(entry.thing.number) for entry in config.own.get("number", ())}
    for entry in config.made.get("number", ()):
        number: Number = entry.thing
        if normal(number.number) in taken:
            what = f"the number {number.number} stands in this file and was made through the API ({entry.id})"
            report.warn((), f"{what}: the file's counts", "remove one of them")
        for name in _nowhere(number, directory):
            what = f"the number {number.number}, made through the API ({entry.id}), names {name}, which is not there"
            report.warn((), what, "change the number through the API")


def is_left_out(config: "Config", kind: str, name: str) -> bool:
    """True for no name, and for what the API made whose file can't be read: a warning says so already."""
    if not name:
        return True
    return any(file.stem == name for file in folder_of(config.state_dir, kind).glob("*.toml"))


def _check_twins(config: "Config", report: Report) -> None:
    for kind, entries in config.made.items():
        own = {entry.id: entry.place for entry in config.own.get(kind, ())}
        for entry in entries:
            if entry.id in own:
                what = f"the {kind.replace('_', ' ')} {entry.id} stands at {own[entry.id]} and was made through the API"
                report.warn((), f"{what}: the file's counts", "remove one of them")


def _nowhere(number: Number, directory: Directory) -> list[str]:
    """References that nothing answers to."""
    found = []
    if number.assistant and directory.assistant(number.assistant) is None:
        found.append(f'the assistant "{number.assistant}"')
    if number.transfer_trunk and directory.trunk(number.transfer_trunk) is None:
        found.append(f'the trunk "{number.transfer_trunk}"')
    if number.workflow and directory.workflow(number.workflow) is None:
        found.append(f'the workflow "{number.workflow}"')
    return found
