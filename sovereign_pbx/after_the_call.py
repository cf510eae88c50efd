"""What the daemon does when a caller has gone, put together from the configuration: summary, report, mail, links."""

from sovereign_pbx.calls.analysis_plan import Template
from sovereign_pbx.calls.post_call import PostCall, PostCallSettings
from sovereign_pbx.calls.providers import Providers
from sovereign_pbx.config import Config


def post_call(config: Config, providers: Providers, template: Template | None = None) -> PostCall:
    """Summaries and analyses, as `[post_call]` has them. `template` finds an analysis template by its id."""
    section = config.post_call
    settings = PostCallSettings(
        summaries=section.summaries,
        provider=section.provider,
        model=section.model,
        timeout_s=section.timeout_seconds,
        wait_s=section.wait_seconds,
        at_once=section.at_once,
        waiting=section.waiting,
    )
    return PostCall(providers, settings=settings, accounts=config.providers, template=template, prices=config.prices)
