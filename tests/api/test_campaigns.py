"""`/campaigns` and their leads, as a client of the hosted platform uses them (contract §20)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sovereign_pbx.store.campaign_rows import LeadRow
from tests.api.rest import Client, serving_rest

SECTIONS: dict[str, Any] = {
    "assistants": {"caller": {"name": "The caller"}},
    "dialling": {"allow": ["+31*"]},
    "numbers": [{"number": "+31850835037", "id": "ours", "assistant": "caller"}],
}

CAMPAIGN: dict[str, Any] = {
    "name": "Reminders",
    "agent_id": "caller",
    "system_message_template": "Call {{name}} about {{date}}",
    "schedule_start_time": "09:00:00",
    "schedule_end_time": "17:00:00",
    "timezone": "Europe/Amsterdam",
    "leads": [{"phone_number": "+31612345678", "variables": {"name": "Jan", "date": "2026-03-25"}}],
}


def with_api(folder: Path, act: Callable[[Client], Awaitable[None]], **sections: Any) -> None:
    async def run() -> None:
        async with serving_rest(folder, **{**SECTIONS, **sections}) as api:
            await act(api)

    asyncio.run(run())


async def made(api: Client, **changes: Any) -> dict[str, Any]:
    got = await api.post("/campaigns", {**CAMPAIGN, **changes})
    assert got.status == 201, got.body
    campaign: dict[str, Any] = got.body["campaign"]
    return campaign


def test_a_campaign_is_a_draft_with_its_leads_and_counters(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        campaign = await made(api)
        assert campaign["status"] == "draft"
        assert campaign["agent_id"] == next(iter(api.backend.estate.assistants)).id
        assert (campaign["total_leads"], campaign["completed_leads"], campaign["failed_leads"]) == (1, 0, 0)
        assert (campaign["max_attempts"], campaign["calls_at_once"]) == (1, 1)
        assert (await api.get("/campaigns")).body == {"campaigns": [campaign]}
        assert (await api.get(f"/campaigns/{campaign['id']}")).body == {"campaign": campaign}
        (lead,) = (await api.get(f"/campaigns/{campaign['id']}/leads")).body["leads"]
        assert lead["variables"] == {"name": "Jan", "date": "2026-03-25"}
        assert (lead["status"], lead["attempts"], lead["call_id"]) == ("pending", 0, None)
        assert lead["campaign_id"] == campaign["id"]

    with_api(tmp_path, act)


def test_older_spellings_are_taken_and_the_present_ones_answered(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        older = {
            "name": "Reminders",
            "assistant_id": "The caller",
            "scheduleStartTime": "09:00",
            "schedule_end_time": "17:30",
            "timezone": "Europe/Amsterdam",
            "leads": [{"phoneNumber": "+31 6 1234 5678", "name": "Jan"}],
        }
        got = await api.post("/campaigns", older)
        campaign = got.body["campaign"]
        assert (campaign["schedule_start_time"], campaign["schedule_end_time"]) == ("09:00:00", "17:30:00")
        page = (await api.get(f"/campaigns/{campaign['id']}/leads", limit=1, offset=0)).body
        assert (page["leads"][0]["phone_number"], page["leads"][0]["variables"]) == ("+31612345678", {"name": "Jan"})
        assert page["pagination"] == {"total": 1, "limit": 1, "offset": 0}

    with_api(tmp_path, act)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule_start_time": "9 o'clock"}, "schedule_start_time: must be a time of the day"),
        ({"schedule_end_time": "24:00"}, "schedule_end_time: must be a time of the day"),
        ({"timezone": "Europe/Amsterdom"}, "timezone: there is no time zone 'Europe/Amsterdom'"),
        ({"timezone": "../../etc/passwd"}, "timezone: must be a time zone"),
        ({"timezone": "Europe"}, "timezone: there is no time zone 'Europe'"),
        ({"agent_id": "nobody"}, "agent_id: there is no assistant 'nobody'"),
        ({"number_id": "none"}, "number_id: there is no number 'none'"),
        ({"weekdays": []}, "weekdays: must be a list of one or more of mon"),
        ({"max_attempts": 0}, "max_attempts: must be a whole number from 1 to 10"),
        ({"name": None}, '"name" is missing'),
    ],
)
def test_what_can_not_be_is_refused_with_its_place(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    async def act(api: Client) -> None:
        got = await api.post("/campaigns", {**CAMPAIGN, **change})
        assert got.status == 400
        assert any(said in line for line in got.body["details"]), got.body
        assert (await api.get("/campaigns")).body == {"campaigns": []}

    with_api(tmp_path, act)


def test_every_bad_lead_is_named_and_none_is_taken(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        campaign = await made(api)
        bad = [
            {"phone_number": "+31612345678"},
            {"phone_number": "0612345678"},
            {"variables": {"name": "Jan"}},
            {"phone_number": "+31612345678", "variables": {"name": None, "x{{": "y"}},
            "not a lead",
        ]
        got = await api.post(f"/campaigns/{campaign['id']}/leads", {"leads": bad})
        assert got.status == 400
        places = [line.partition(":")[0] for line in got.body["details"]]
        assert places == [
            "leads[1].phone_number",
            "leads[2]",
            "leads[3].variables.name",
            "leads[3].variables",
            "leads[4]",
        ]
        assert (await api.get(f"/campaigns/{campaign['id']}")).body["campaign"]["total_leads"] == 1
        many = [{"phone_number": "1"}] * 1000
        got = await api.post("/campaigns", {**CAMPAIGN, "leads": many, "timezone": "Nowhere"})
        assert len(got.body["details"]) == 1001, "all of them, and what else is wrong"

    with_api(tmp_path, act)


def test_one_lead_or_several_are_added_and_listed_oldest_first(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        path = f"/campaigns/{(await made(api))['id']}/leads"
        one = await api.post(path, {"phone_number": "+31612345679", "variables": {"amount": 12.5}})
        assert (one.status, one.body["lead"]["variables"]) == (201, {"amount": "12.5"})
        several = await api.post(path, {"leads": [{"phone_number": f"+3161234{number:04}"} for number in range(300)]})
        assert (several.status, len(several.body["leads"])) == (201, 300)
        listed = (await api.get(path)).body["leads"]
        assert listed[1:] == [one.body["lead"], *several.body["leads"]]
        assert (await api.post(path, {})).body["code"] == "missing_field"
        both = await api.post(path, {"phone_number": "+31612345679", "leads": []})
        assert (both.status, both.body["code"]) == (400, "invalid_request")

    with_api(tmp_path, act)


def test_a_campaign_goes_from_status_to_status_as_it_may(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        path = f"/campaigns/{(await made(api))['id']}"
        for status, answer in (
            ("paused", 409),
            ("completed", 409),
            ("scheduled", 200),
            ("draft", 409),
            ("paused", 200),
            ("paused", 200),
            ("scheduled", 200),
            ("cancelled", 200),
            ("scheduled", 409),
        ):
            got = await api.patch(path, {"status": status})
            assert got.status == answer, (status, got.body)
        (lead,) = (await api.get(f"{path}/leads")).body["leads"]
        assert (lead["status"], lead["outcome"]) == ("skipped", "cancelled")
        renamed = await api.patch(path, {"name": "Other"})
        assert (renamed.status, renamed.body["code"]) == (409, "campaign_frozen")
        assert (await api.post(f"{path}/leads", {"phone_number": "+31612345678"})).status == 409

    with_api(tmp_path, act)


def test_fields_are_changed_one_by_one_and_null_clears(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        path = f"/campaigns/{(await made(api, number_id='ours'))['id']}"
        got = await api.patch(path, {"schedule_end_time": "18:00", "weekdays": ["fri", "mon"], "max_attempts": 3})
        campaign = got.body["campaign"]
        assert (campaign["schedule_end_time"], campaign["weekdays"], campaign["max_attempts"]) == (
            "18:00:00",
            ["mon", "fri"],
            3,
        )
        assert campaign["number_id"] == "ours"
        cleared = (await api.patch(path, {"number_id": None, "system_message_template": None})).body
        assert (cleared["campaign"]["number_id"], cleared["campaign"]["system_message_template"]) == (None, None)
        usual = (await api.patch(path, {"weekdays": None, "max_attempts": None})).body["campaign"]
        assert (len(usual["weekdays"]), usual["max_attempts"]) == (7, 1)
        assert (await api.patch(path, {"name": None})).status == 400

    with_api(tmp_path, act)


def test_a_campaign_that_could_not_call_anybody_is_not_started(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        campaign = await made(api)
        got = await api.patch(f"/campaigns/{campaign['id']}", {"status": "scheduled"})
        assert (got.status, got.body["code"]) == (409, "nothing_may_be_dialled")

    with_api(tmp_path, act, dialling={})


def test_a_lead_that_is_being_called_stays_and_so_does_its_campaign(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        path = f"/campaigns/{(await made(api))['id']}"
        await api.post(f"{path}/leads", {"phone_number": "+31612345679"})
        await api.patch(path, {"status": "scheduled"})
        tables = api.store.campaigns
        lead, other = await tables.leads(path.rpartition("/")[2])
        await tables.claim(lead.id, "the-call", "2026-11-20T09:00:00.000Z")
        kept = await api.delete(f"{path}/leads/{lead.id}")
        assert (kept.status, kept.body["code"]) == (409, "lead_is_calling")
        gone = await api.delete(path)
        assert (gone.status, gone.body["code"]) == (409, "campaign_is_calling")
        assert (await api.delete(f"{path}/leads/{other.id}")).body == {"success": True}
        assert (await api.delete(f"{path}/leads/{other.id}")).status == 404
        called = LeadRow(**{**_fields(lead), "status": "calling", "call_id": "the-call", "attempts": 1})
        await tables.settle(called, "completed", "user_hangup", "2026-11-20T09:01:00.000Z")
        campaign = (await api.get(path)).body["campaign"]
        assert (campaign["status"], campaign["completed_leads"]) == ("completed", 1)
        assert (await api.delete(path)).body == {"success": True}
        assert (await api.get(path)).status == 404

    with_api(tmp_path, act)


def _fields(lead: LeadRow) -> dict[str, Any]:
    return {name: getattr(lead, name) for name in LeadRow.__slots__}


def test_a_key_for_calls_may_run_campaigns_and_one_for_reading_may_not(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        caller, reader = await api.with_scopes("calls"), await api.with_scopes("read")
        assert (await caller.post("/campaigns", CAMPAIGN)).status == 201
        assert (await reader.get("/campaigns")).status == 200
        assert (await reader.post("/campaigns", CAMPAIGN)).status == 403
        assert (await api.as_key("").get("/campaigns")).status == 401

    with_api(tmp_path, act)


def test_ten_thousand_leads_are_taken_and_listed(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        several = [
            {"phone_number": f"+3161000{number:04}", "variables": {"name": f"Lead {number}"}}
            for number in range(10_000)
        ]
        campaign = await made(api, leads=several)
        assert campaign["total_leads"] == 10_000
        listed = (await api.get(f"/campaigns/{campaign['id']}/leads")).body["leads"]
        assert [one["phone_number"] for one in listed] == [one["phone_number"] for one in several]
        path = f"/campaigns/{campaign['id']}/leads"
        more = await api.post(path, {"leads": [{"phone_number": "+31610000000"}] * 10_001})
        assert (more.status, more.body["details"][0].partition(":")[0]) == (400, "leads")

    with_api(tmp_path, act)


def test_the_assistant_of_an_unfinished_campaign_stays_and_the_campaign_is_named(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        assistant = (await api.post("/assistants", {"name": "Eva"})).body["assistant"]["id"]
        await made(api)
        campaign = await made(api, name="Recall", agent_id="Eva")
        refused = await api.delete(f"/assistants/{assistant}")
        assert (refused.status, refused.body["code"]) == (409, "in_use")
        assert f"'Recall' ({campaign['id']})" in refused.body["message"]
        assert "Reminders" not in refused.body["message"]
        await api.patch(f"/campaigns/{campaign['id']}", {"status": "cancelled"})
        assert (await api.delete(f"/assistants/{assistant}")).status == 200

    with_api(tmp_path, act)


def test_one_number_is_one_lead_and_others_are_told(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        twice = [{"phone_number": "+31612345678"}, {"phone_number": "0031612345678"}, {"phone_number": "+31612345679"}]
        got = await api.post("/campaigns", {**CAMPAIGN, "leads": twice})
        assert (got.body["campaign"]["total_leads"], got.body["duplicates"]) == (2, ["+31612345678"])
        path = f"/campaigns/{got.body['campaign']['id']}/leads"
        more = await api.post(path, {"leads": [twice[0], {"phone_number": "+31612345680"}]})
        assert [one["phone_number"] for one in more.body["leads"]] == ["+31612345680"]
        assert more.body["duplicates"] == ["+31612345678"]
        alone = await api.post(path, twice[0])
        assert (alone.status, alone.body["code"]) == (409, "duplicate_lead")

    with_api(tmp_path, act)


def test_a_lead_may_have_a_time_zone_of_its_own(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        campaign = await made(api)
        path = f"/campaigns/{campaign['id']}/leads"
        lead = (await api.post(path, {"phone_number": "+442079460958", "timezone": "Europe/London"})).body["lead"]
        assert (lead["timezone"], lead["timezones"]) == ("Europe/London", ["Europe/London"])
        wrong = await api.post(path, {"phone_number": "+442079460959", "timezone": "Mars/Base"})
        assert (wrong.status, "there is no time zone 'Mars/Base'" in wrong.body["message"]) == (400, True)

    with_api(tmp_path, act)


def test_retries_by_reason_are_kept_changed_and_cleared(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        campaign = await made(api, retries={"busy": {"minutes": 5, "attempts": 2}}, message_left="retry")
        assert (campaign["retries"], campaign["message_left"]) == ({"busy": {"minutes": 5, "attempts": 2}}, "retry")
        path = f"/campaigns/{campaign['id']}"
        assert (await api.patch(path, {"retries": {"no_answer": {"minutes": 60}}})).body["campaign"]["retries"] == {
            "no_answer": {"minutes": 60}
        }
        cleared = (await api.patch(path, {"retries": None, "message_left": None})).body["campaign"]
        assert (cleared["retries"], cleared["message_left"]) == ({}, "completed")
        wrong = await api.patch(path, {"retries": {"no-answer": {}}})
        assert (wrong.status, "no_answer" in wrong.body["message"]) == (400, True)

    with_api(tmp_path, act)


def test_a_csv_file_is_imported_and_its_bad_lines_are_told(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        path = f"/campaigns/{(await made(api))['id']}/leads"
        text = "\ufeffTelefoon;Naam\n0612345678;Jan\n06-12345679;Piet\n12;Kort\n0612345679;Piet\n"
        dry = (await api.post(f"{path}/import", {"csv": text, "country": "NL", "dry_run": True})).body
        strict = (await api.post(f"{path}/import", {"csv": text, "country": "NL", "strict": True})).body
        assert (dry["taken"], strict["taken"], len((await api.get(path)).body["leads"])) == (0, 0, 1)
        report = (await api.post(f"{path}/import", {"csv": text, "country": "NL"})).body
        assert (report["lines"], report["taken"], report["bad"], report["duplicates"]) == (4, 1, 1, 2)
        assert report["bad_lines"] == [{"line": 4, "column": "Telefoon", "reason": "'12' is too short"}]
        assert (await api.get(path)).body["leads"][-1]["variables"] == {"Naam": "Piet"}
        none = await api.post(f"{path}/import", {"csv": "a;b\n1;2\n"})
        assert (none.status, none.body["code"]) == (400, "bad_file")

    with_api(tmp_path, act)


def test_the_do_not_call_list_is_kept_and_paged(tmp_path: Path) -> None:
    async def act(api: Client) -> None:
        numbers = [f"+3161234567{number}" for number in range(5)]
        added = await api.post("/do-not-call", {"numbers": [*numbers, "0031612345670"], "reason": "asked"})
        assert (added.status, added.body["numbers"]) == (201, numbers)
        first = (await api.get("/do-not-call", limit=3)).body
        assert [one["number"] for one in first["numbers"]] == numbers[:3]
        rest = (await api.get("/do-not-call", limit=3, after=first["next"])).body
        assert ([one["number"] for one in rest["numbers"]], rest["next"]) == (numbers[3:], None)
        wrong = await api.post("/do-not-call", {"numbers": ["+31612345679", "Jan"]})
        assert (wrong.status, wrong.body["code"]) == (400, "not_a_number")
        assert (await api.get("/do-not-call/%2B31612345679")).status == 404, "all or none"
        reader = await api.with_scopes("read")
        assert (await reader.delete("/do-not-call/%2B31612345670")).status == 403

    with_api(tmp_path, act)
