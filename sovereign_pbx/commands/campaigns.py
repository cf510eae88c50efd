"""`sovereign-pbx campaigns`: what campaigns do, from the database, whether the daemon runs or not."""

import contextlib
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sovereign_pbx.cli import CouldNotRun, Invocation
from sovereign_pbx.commands import output
from sovereign_pbx.commands.call_page import local_time, plain
from sovereign_pbx.commands.campaign_choice import the_one
from sovereign_pbx.commands.campaign_import import import_leads
from sovereign_pbx.commands.campaign_page import STYLES, CampaignPage, settled
from sovereign_pbx.commands.campaign_results import results
from sovereign_pbx.commands.campaign_steering import cancel, pause, start
from sovereign_pbx.commands.database import reading
from sovereign_pbx.commands.output import database_option, json_option, print_json
from sovereign_pbx.store import campaign_queries
from sovereign_pbx.store.campaign_queries import Counted


@click.group()
def campaigns() -> None:
    """List campaigns, import leads, start, pause and cancel one, watch it call, take its results."""


for one in (import_leads, results, start, pause, cancel):
    campaigns.add_command(one)


@campaigns.command("list")
@database_option
@json_option
@click.pass_obj
def list_campaigns(invocation: Invocation, database: Path | None, as_json: bool) -> None:
    """Every campaign, the newest first."""
    with reading(invocation, database) as connection:
        found = campaign_queries.campaigns(connection)
    if as_json:
        print_json([{**asdict(row), "leads": {**asdict(counts), "total": counts.total}} for row, counts in found])
    else:
        output.console().print(_table(found) if found else "no campaigns")


@campaigns.command()
@database_option
@json_option
@click.option("--leads", is_flag=True, help="Every lead, too.")
@click.argument("campaign", metavar="ID")
@click.pass_obj
def show(invocation: Invocation, database: Path | None, as_json: bool, leads: bool, campaign: str) -> None:
    """One campaign: facts, progress, who is being called, the last outcomes.

    The beginning of the id is enough where no other campaign has it; so is the name.
    """
    with reading(invocation, database) as connection:
        page = _page(connection, the_one(connection, campaign))
        everybody = campaign_queries.leads(connection, page.row.id) if leads else []
    if as_json:
        print_json({**page.as_dict(), **({"all_leads": [asdict(one) for one in everybody]} if leads else {})})
        return
    console = output.console()
    console.print(page.render())
    for lead in everybody:
        state = f"{lead.status:<10} {lead.outcome or '':<16} {lead.attempts} {lead.call_id or '':<36}"
        console.print(plain(f"{lead.phone_number:<17} {state} {lead.error or ''}"), soft_wrap=True)


@campaigns.command()
@database_option
@click.option(
    "--interval", default=1.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds between looks."
)
@click.argument("campaign", metavar="ID")
@click.pass_obj
def watch(invocation: Invocation, database: Path | None, interval: float, campaign: str) -> None:
    """Follow one campaign until it is over, or until interrupted."""
    console = output.console()
    with contextlib.suppress(KeyboardInterrupt), reading(invocation, database) as connection:
        campaign_id = the_one(connection, campaign)
        if console.is_terminal:
            _redraw(console, connection, campaign_id, interval)
        else:
            _tell_changes(console, connection, campaign_id, interval)


def _redraw(console: Console, connection: sqlite3.Connection, campaign_id: str, interval: float) -> None:
    page = _page(connection, campaign_id)
    with Live(page.render(), console=console, auto_refresh=False) as live:
        while not page.over:
            time.sleep(interval)
            page = _page(connection, campaign_id)
            live.update(page.render(), refresh=True)


def _tell_changes(console: Console, connection: sqlite3.Connection, campaign_id: str, interval: float) -> None:
    """A line whenever something has changed: for pipes and logs."""
    told = ""
    while True:
        page = _page(connection, campaign_id)
        if page.line() != told:
            told = page.line()
            console.print(told, soft_wrap=True)
        if page.over:
            return
        time.sleep(interval)


def _page(connection: sqlite3.Connection, campaign_id: str) -> CampaignPage:
    page = CampaignPage.read(connection, campaign_id)
    if page is None:
        raise CouldNotRun("the campaign has been deleted")
    return page


def _table(found: list[Counted]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("made", "id", "name", "status", "settled", "completed", "failed", "skipped"):
        table.add_column(name, no_wrap=name in ("made", "id"))
    for row, counts in found:
        table.add_row(
            local_time(row.created_at, "%Y-%m-%d %H:%M"),
            plain(row.id[:8]),
            plain(row.name),
            Text(row.status, style=STYLES.get(row.status, "")),
            f"{settled(counts)} of {counts.total}",
            str(counts.completed),
            str(counts.failed),
            str(counts.skipped),
        )
    return table
