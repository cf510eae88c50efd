"""`sovereign-pbx check`: everything that can be known to be wrong without taking a call."""

import json

import click

from sovereign_pbx.cli import Invocation
from sovereign_pbx.config import Examined, examine
from sovereign_pbx.config_findings import Finding
from sovereign_pbx.config_host import folder_findings, port_findings, provider_findings
from sovereign_pbx.config_http import keys_line
from sovereign_pbx.config_recording import recording_findings
from sovereign_pbx.config_tls import tls_findings
from sovereign_pbx.config_tools import mcp_findings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
@click.option("--no-ports", is_flag=True, help="Do not try the ports (they are the daemon's own when it runs).")
@click.option("--strict", is_flag=True, help="Count warnings as findings too.")
@click.pass_obj
def check(invocation: Invocation, as_json: bool, no_ports: bool, strict: bool) -> None:
    """Check the configuration, and what it needs on this machine.

    Unknown and wrong keys (with file, line, column and the nearest right name), secrets that are missing, files
    that can't be read, numbers that lead nowhere, providers nobody knows, ports that are taken.
    Exit code 1 when there are errors.
    """
    examined = examine(invocation.config_path)
    findings = [*examined.findings, *_on_this_machine(examined, ports=not no_ports)]
    _print(examined, findings, as_json=as_json)
    counted = [finding for finding in findings if strict or finding.severity == "error"]
    if counted:
        click.get_current_context().exit(1)


def _on_this_machine(examined: Examined, *, ports: bool) -> list[Finding]:
    if examined.config is None:
        return []
    config, file = examined.config, examined.path
    found = [*provider_findings(config, file), *mcp_findings(config, file), *folder_findings(config, file)]
    found += [*tls_findings(config, file), *recording_findings(config, file)]
    return [*found, *port_findings(config, file)] if ports else found


def _print(examined: Examined, findings: list[Finding], *, as_json: bool) -> None:
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    if as_json:
        report = {
            "file": str(examined.path),
            "errors": errors,
            "warnings": warnings,
            "findings": [finding.as_dict() for finding in findings],
        }
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    for finding in findings:
        click.echo(str(finding))
    if examined.config is not None and examined.config.http.enabled:
        click.echo(keys_line(examined.config))
    click.echo(f"{examined.path}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
