"""What one call needs of the rest of the daemon, handed in once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sovereign_pbx.assistants.account import Account
from sovereign_pbx.assistants.dialling import DialRules
from sovereign_pbx.assistants.directory import Directory
from sovereign_pbx.calls.do_not_call import DoNotCall
from sovereign_pbx.calls.mcp import McpServers
from sovereign_pbx.calls.post_call import PostCall
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.calls.report import PLAIN_REPORTING, Reporting
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.calls.transfer import PLAIN_TRANSFERS, TransferPolicy
from sovereign_pbx.core.plan import SpeculationPlan
from sovereign_pbx.media.clock import MediaClock
from sovereign_pbx.media.turn import TurnModel
from sovereign_pbx.pbx.link import Pbx
from sovereign_pbx.speech.phrases import PhraseCache
from sovereign_pbx.store import Store
from sovereign_pbx.webhooks.ask import Asker


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Shared by all calls; none of it belongs to one."""

    clock: MediaClock
    store: Store
    providers: Providers
    phrases: PhraseCache
    asker: Asker
    mcp: McpServers
    tracer: Tracer
    pbx: Pbx
    turn_model: TurnModel | None
    directory: Directory
    account: Account
    recordings: Path | None
    recording_keys: tuple[bytes, ...] = ()  # whom recordings are encrypted for; nobody: they are not
    dialling: DialRules
    webhooks_due: Callable[[], None]
    transfers: TransferPolicy = PLAIN_TRANSFERS
    longest_call_s: float | None = None
    speculation_per_call: int = SpeculationPlan().in_vain
    ask_timeout_s: float = 5.0
    tool_timeout_s: float = 10.0
    post_call: PostCall
    reporting: Reporting = PLAIN_REPORTING
    do_not_call: DoNotCall | None = None
