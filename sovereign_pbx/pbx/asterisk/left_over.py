"""Lines that an earlier daemon of this installation had made and that are there still: they ring, or the dialplan has
them. Their channels' ids tell them from everybody else's."""

from sovereign_pbx.core.errors import BadInput, LinkEnded, Refused
from sovereign_pbx.pbx.asterisk.ami import Ami
from sovereign_pbx.pbx.asterisk.lines import Lines


async def left_over(ami: Ami | None, lines: Lines, instance: str) -> int:
    """How many. Raises Refused `pbx_unavailable` where Asterisk can't be asked."""
    if ami is None or not instance:
        raise Refused("pbx_unavailable", "there is no connection to the manager")
    try:
        answer = await ami.action("CoreShowChannels")
    except (LinkEnded, BadInput) as exc:
        raise Refused("pbx_unavailable", str(exc)) from exc
    if not answer.ok:
        raise Refused("pbx_unavailable", f"Asterisk does not show its channels: {answer.get('Message')}")
    ours = {line.pbx_id for line in lines}
    shown = {entry.get("Uniqueid") for entry in answer.entries if entry.event == "CoreShowChannel"}
    began = f"sovereign-{instance}-"
    return sum(one.startswith(began) and not one.endswith(";2") and one not in ours for one in shown)
