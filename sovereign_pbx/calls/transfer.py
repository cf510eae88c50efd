"""How and where a caller is put through, whoever asks for it: the rules, the trunk, and what he and the person called
hear and see."""

from dataclasses import dataclass
from typing import Final, Literal

from sovereign_pbx.assistants.dialling import DialRules, normal
from sovereign_pbx.assistants.directory import Directory, Number
from sovereign_pbx.assistants.trunk import Trunk
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.values import BLIND, TransferTerms
from sovereign_pbx.pbx.link import NextStep


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPolicy:
    """`[transfers]`: what holds for every transfer. `caller_id`: "caller" shows the caller's own number, "number" the
    one he dialled, anything else is shown as it is."""

    ring_s: float = 30.0
    caller_id: str = "caller"
    diversion: bool = True
    music: str = ""
    after_answered: Literal["hangup", "fallback"] = "hangup"
    max_per_call: int = 5

    @property
    def afterwards(self) -> NextStep:
        """For a caller whose colleague has hung up."""
        return NextStep(self.after_answered)

    def step(self, destination: str, trunk: Trunk | None, terms: TransferTerms, *, dialled: str) -> NextStep:
        """The step that dials; `dialled` is the number that the caller had dialled."""
        own = normal(dialled)
        own = own if own.lstrip("+").isdigit() else ""
        return NextStep(
            "dial",
            normal(destination),
            trunk.pbx_name if trunk is not None else "",
            ring_s=self.ring_s if terms.ring_s is None else terms.ring_s,
            caller_id={"caller": "", "number": own}.get(self.caller_id, self.caller_id),
            diverted_from=own if self.diversion else "",
            music=self.music,
            briefing=terms.mode == "attended",
        )


PLAIN_TRANSFERS: Final = TransferPolicy()


def transfer_to(
    destination: str,
    rules: DialRules,
    trunk: Trunk | None,
    policy: TransferPolicy = PLAIN_TRANSFERS,
    terms: TransferTerms = BLIND,
    *,
    dialled: str = "",
) -> NextStep:
    """The step that dials. Raises Refused `destination_not_allowed`."""
    refusal = rules.refusal(destination)
    if refusal:
        raise Refused("destination_not_allowed", refusal)
    return policy.step(destination, trunk, terms, dialled=dialled)


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
