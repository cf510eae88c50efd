"""The whole examination, in the order in which one finding explains the next."""

import time
from dataclasses import dataclass
from functools import partial

from sovereign_pbx.assistants.secret import Redactor
from sovereign_pbx.commands.doctor import (
    asterisk,
    call,
    daemon,
    freeswitch,
    link,
    machine,
    outside,
    reconciliation,
    registrations,
    sip_call,
    vendors,
)
from sovereign_pbx.commands.doctor.patient import Patient
from sovereign_pbx.commands.doctor.report import Report
from sovereign_pbx.commands.doctor.result import Look, Result, skipped
from sovereign_pbx.config import Examined

FINDING, COULD_NOT_RUN = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for on the command line."""

    as_json: bool = False
    call: bool = True
    number: str = ""
    context: str = "sovereign"
    listen: str = ""


async def examine_all(examined: Examined, wishes: Wishes, *, strict: bool = False) -> int:
    """Look at everything, show it, and return the exit status."""
    config = examined.config
    report = Report(wishes.as_json, config.redactor if config else Redactor())
    if config is None:
        found = machine.of_findings([*examined.findings], "", "sovereign-pbx check")
        report.add(
            Result(status="failed", detail=found.detail, remedy=found.remedy, facts=found.facts, name="configuration")
        )
        report.end()
        return COULD_NOT_RUN
    patient = Patient(examined, config, wishes.context, wishes.number, wishes.listen)
    patient.clock_at_start = (time.time(), time.monotonic())
    try:
        for look in _looks(patient, wishes):
            report.begins(look.name)
            report.add(await look.take())
    finally:
        await patient.close()
    report.end()
    counted = {"failed", "warning"} if strict else {"failed"}
    return FINDING if any(result.status in counted for result in report.results) else 0


def _looks(patient: Patient, wishes: Wishes) -> list[Look]:
    return [
        Look("configuration", partial(machine.configuration, patient), 30.0),
        Look("folders", partial(machine.disk, patient)),
        Look("daemon", partial(daemon.daemon, patient)),
        Look("ports", partial(machine.ports, patient)),
        Look("models", partial(machine.model_files, patient), 60.0),
        *_asterisk_looks(patient),
        *freeswitch.looks(patient),
        *registrations.looks(patient),
        *vendors.looks(patient),
        Look("webhooks", partial(outside.webhooks, patient), 20.0),
        Look("clock", partial(outside.clock, patient), 30.0),
        *sip_call.looks(patient, wanted=wishes.call),
        *_test_call_looks(patient, wishes),
    ]


def _asterisk_looks(patient: Patient) -> list[Look]:
    if not patient.config.asterisk.enabled:
        return []
    return [
        Look("asterisk login", partial(asterisk.login, patient), 20.0),
        Look("asterisk rights", partial(asterisk.rights, patient)),
        Look("asterisk version", partial(asterisk.version, patient), 20.0),
        Look("asterisk link", partial(link.link, patient), 20.0),
        Look("dialplan", partial(asterisk.dialplan, patient), 20.0),
        Look("reconciliation", partial(reconciliation.reconciliation, patient), 30.0),
    ]


def _test_call_looks(patient: Patient, wishes: Wishes) -> list[Look]:
    """Asterisk places it."""
    if not patient.config.asterisk.enabled:
        return []
    return [Look("test call", partial(call.call, patient) if wishes.call else _no_call, call.limit_s(patient.config))]


async def _no_call() -> Result:
    return skipped("not wanted (--no-call)")
