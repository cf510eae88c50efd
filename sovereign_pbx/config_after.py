"""What is doubtful about what happens after a call: reports that can't be sent, links that lead nowhere, analyses that
can't succeed."""

from typing import TYPE_CHECKING, Any

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.problem import Path, Report
from sovereign_pbx.assistants.realtime import is_realtime
from sovereign_pbx.calls.analysis_check import BadSchema, TooSlow, faults
from sovereign_pbx.core.errors import BadInput, ConfigError
from sovereign_pbx.media.age_keys import public_keys

if TYPE_CHECKING:
    from sovereign_pbx.config import Config

_LOCAL = ("127.0.0.1", "::1", "localhost")


def check_after_the_call(config: "Config", report: Report) -> None:
    """Report on `[mail]`, `[post_call]`, `[recording]` links, `[retention]` and each assistant's analysis and mail."""
    _check_mail(config, report)
    _check_model(config, report)
    links = config.recording.enabled and config.recording.link_days and config.http.enabled
    if links and not config.http.public_url and config.http.host.strip("[]") in (*_LOCAL, "0.0.0.0", "::"):
        what = "the recording_url of reports leads to an address that only this machine understands"
        report.warn(("http", "public_url"), what, "set it to where receivers of reports reach this daemon")
    _check_recording(config, report)
    days = config.retention
    if days.metadata_days and (days.content_days == 0 or days.content_days > days.metadata_days):
        what = "keeps what was said longer than who said it, which the API's own limits forbid"
        report.warn(("retention", "metadata_days"), what, "make content_days the shorter one")
    for name, assistant in config.assistants.items():
        _check_assistant(("assistants", name), assistant, config, report)


def _check_recording(config: "Config", report: Report) -> None:
    section = config.recording
    if not section.public_key:
        return
    try:
        public_keys(section.public_key)
    except BadInput as exc:
        remedy = "make a pair with `sovereign-pbx recordings keygen`, and put the part here that begins with age1"
        report.error(("recording", "public_key"), str(exc), remedy)
    if section.format != "wav":
        what = "can't be had with public_key: what the daemon can't read it can't convert"
        remedy = "keep wav, and convert with `sovereign-pbx recordings export --key`"
        report.error(("recording", "format"), what, remedy)


def _check_model(config: "Config", report: Report) -> None:
    section = config.post_call
    if is_realtime({"provider": section.provider}):
        report.error(("post_call", "provider"), "is a model that speaks, and can't sum up", "name a model for text")
    elif section.provider:
        from sovereign_pbx.speech.catalogue import validate  # late: most configurations need nothing of it

        try:
            named = {"provider": section.provider, **({"model": section.model} if section.model else {})}
            validate("llm", named, config.providers)
        except ConfigError as exc:
            report.error(("post_call", "provider"), exc.message, exc.remedy)


def _check_mail(config: "Config", report: Report) -> None:
    section = config.mail
    if not section.host:
        return
    if not section.sender:
        report.error(("mail",), 'has no "from"', "say which address reports come from")
    if section.username and not section.password:
        report.warn(("mail", "password"), "is empty although there is a username")
    if section.password and section.security == "none" and section.host.strip("[]") not in _LOCAL:
        report.warn(("mail", "security"), "sends the password over the network for everybody to read", "use starttls")


def _check_assistant(path: Path, assistant: Assistant, config: "Config", report: Report) -> None:
    if (assistant.notification_email or assistant.notification_emails) and not config.mail.host:
        key = "notification_email" if assistant.notification_email else "notification_emails"
        report.warn((*path, key), "gets nothing: there is no mail server", "set host and from in [mail]")
    plan = (assistant.analysis_plan or {}).get("structured_data_plan") or {}
    if plan.get("enabled"):
        _check_plan((*path, "analysis_plan", "structured_data_plan"), plan, config, report)


def _check_plan(path: Path, plan: Any, config: "Config", report: Report) -> None:
    template = plan.get("template_id")
    if template and template not in _templates(config) and not plan.get("schema"):
        what = f'there is no analysis template "{template}" (yet); without it nothing is analysed'
        report.warn((*path, "template_id"), what, "make it through the API, or write the schema here")
    if plan.get("schema"):
        try:
            faults(plan["schema"], {})
        except (BadSchema, TooSlow) as exc:
            report.warn((*path, "schema"), f"can't be used, so nothing is analysed: {exc}")


def _templates(config: "Config") -> set[str]:
    """Ids and names."""
    made = config.made.get("analysis_template", ())
    return {entry.id for entry in made} | {str(entry.thing.get("name")) for entry in made}
