"""Where a caller is put through to, whoever asks for it: the rules, and the trunk that it goes out on."""

from sovereign_pbx.assistants.dialling import DialRules, normal
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.pbx.link import NextStep


def transfer_to(destination: str, rules: DialRules, trunk: Trunk | None) -> NextStep:
    """The step that dials. Raises Refused `destination_not_allowed`."""
    refusal = rules.refusal(destination)
    if refusal:
        raise Refused("destination_not_allowed", refusal)
    return NextStep("dial", normal(destination), trunk.pbx_name if trunk is not None else "")


def trunk_of(number: Number | None, directory: Directory) -> Trunk | None:
    """What calls of this number go out on; None: the administrator's dialplan decides.

    Raises Refused `trunk_unknown` or `trunk_inactive`: another way out than the one named might be a dearer one.
    """
    if number is None or not number.transfer_trunk:
        return None
    trunk = directory.trunk(number.transfer_trunk)
    if trunk is None:
        raise Refused(
            "trunk_unknown", f"{number.number} names the trunk {number.transfer_trunk!r}, which does not exist"
        )
    return usable(trunk)


def usable(trunk: Trunk) -> Trunk:
    """The trunk. Raises Refused `trunk_inactive`."""
    if not trunk.is_active:
        raise Refused("trunk_inactive", f"the trunk {trunk.name!r} is not active")
    return trunk
