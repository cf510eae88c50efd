#!/usr/bin/env python3
"""Write into docs/security.md which attack met what, by the tests that made it; --check: say whether that is needed.

What an attack met is the name of its test. Every test that is named must be there, and every test of tests/security
must be named here, or this fails.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security.md"
BEGIN = "<!-- attacks: scripts/draw-attacks.py -->"
END = "<!-- end of attacks -->"

FRAUD, INJECTION = "tests/security/test_toll_fraud.py", "tests/security/test_injection.py"
LISTENERS, HTTP, SECRETS = (f"tests/security/test_{name}.py" for name in ("listeners", "http", "secrets"))
DIALLING, REVIEW = "tests/assistants/test_dialling.py", "tests/calls/test_review_tools.py"
AUDIO, LINK, AGI = (f"tests/pbx/test_{name}.py" for name in ("audiosocket_server", "audiosocket_link", "fastagi"))
SIP, SIP_FUZZED, DIGEST = "tests/pbx/sip", "tests/wire/test_sip_fuzzed.py", "tests/wire/test_digest.py"
ASK, PRIVATE, LOG = "tests/webhooks/test_ask.py", "tests/webhooks/test_private.py", "tests/test_log.py"
GATE, SERVER, KEYS = (f"tests/api/test_{name}.py" for name in ("gate", "server", "keys"))
DOCTOR, AUDIT = "tests/commands/test_doctor_asterisk.py", "tests/pbx/test_asterisk_audit.py"

ATTACKS: dict[str, dict[str, tuple[str, ...]]] = {
    "Toll fraud": {
        "A number in disguise: look-alike digits, `00`, `tel:`, `;phone-context`, a channel, `&`, CR LF": (
            f"{FRAUD}::test_no_disguise_passes_the_allow_list",
            f"{DIALLING}::test_what_is_no_destination_matches_nothing",
            f"{DIALLING}::test_whatever_is_dialled_is_safe_in_a_dialplan",
        ),
        "Premium ranges, in every spelling": (
            f"{DIALLING}::test_every_range_is_denied_however_it_is_written",
            f"{DIALLING}::test_a_number_that_costs_extra_is_denied_unless_it_is_named_in_full",
        ),
        "A caller talks the model into another destination": (
            f"{FRAUD}::test_a_caller_who_talks_the_model_into_a_premium_number_is_not_put_through",
            f"{FRAUD}::test_a_model_names_none_but_its_own_destinations",
            f"{FRAUD}::test_whatever_a_model_writes_only_a_planned_destination_is_dialled",
            f"{REVIEW}::test_a_destination_of_the_callers_own_is_not_dialled_even_if_it_may_be",
        ),
        "A webhook answers with a destination": (
            f"{FRAUD}::test_a_webhook_that_answers_with_a_destination_of_its_own_has_nobody_dialled",
        ),
        "A workflow leads to one": (
            "tests/calls/test_workflow.py::test_a_transfer_that_is_not_allowed_is_refused_before_a_word_and_noted",
        ),
        "A key that may steer calls transfers one": (
            f"{FRAUD}::test_a_key_that_may_steer_calls_transfers_nobody_to_where_it_is_not_allowed",
        ),
        "A key that may place calls places one": (
            f"{FRAUD}::test_a_key_that_may_place_calls_calls_nobody_who_is_not_allowed",
        ),
        "A campaign's leads": (f"{FRAUD}::test_a_campaign_calls_no_lead_who_is_not_allowed",),
        "A caller id that is an extension of the house": (
            f"{FRAUD}::test_whom_a_caller_claims_to_be_gives_him_no_right_to_dial",
        ),
        "Dialplan in a transfer's destination, trunk, caller id, diversion or music": (
            f"{FRAUD}::test_no_field_of_a_transfer_brings_anything_else_into_the_dialplan",
            f"{FRAUD}::test_a_number_that_was_dialled_to_reach_us_is_shown_only_where_it_is_one",
        ),
        "A manager's action hidden in an order to dial": (
            "tests/pbx/test_originator.py::test_what_must_not_reach_asterisk_does_not",
            "tests/pbx/test_originator.py::test_no_variable_can_be_an_order",
            "tests/pbx/test_ami.py::test_a_field_can_not_bring_another_action_along",
        ),
    },
    "Words of callers, answers of webhooks": {
        "Shell, SQL, dialplan, HTML, terminal characters in a tool's arguments": (
            f"{INJECTION}::test_characters_that_mean_something_elsewhere_reach_the_webhook_unchanged_and_do_nothing",
        ),
        "Arguments that are a bomb: deep, long, huge numbers, keys twice": (
            f"{INJECTION}::test_arguments_that_are_a_bomb_are_refused_or_harmless_and_cost_no_time",
        ),
        "A schema that asks for endless work": (
            "tests/calls/test_arguments.py::test_a_hostile_schema_costs_little_and_lets_the_arguments_pass",
        ),
        "A tool's webhook answers 10 MB, deep JSON, a redirect, another kind, or an order": (
            f"{INJECTION}::test_what_a_tools_webhook_answers_is_a_result_or_a_fault_and_never_an_order",
        ),
        "The `assistant-request` is answered so": (
            f"{INJECTION}::test_what_the_assistant_request_answers_keeps_nobody_from_being_answered",
        ),
        "Slow drips, endless bodies": (
            f"{ASK}::test_a_body_that_drips_is_cut_at_the_total_deadline",
            f"{ASK}::test_headers_that_drip_are_cut_at_the_total_deadline",
            f"{ASK}::test_an_endless_body_is_cut_at_the_size_limit",
        ),
        "A redirect to the metadata service": (f"{ASK}::test_a_redirect_is_not_followed",),
        "A gzip bomb": (f"{ASK}::test_a_compressed_answer_is_refused_unread",),
        "An address inside the house, or a name that turns into one (with `allow_private = false`)": (
            f"{PRIVATE}::test_a_webhook_on_a_private_address_is_refused_and_says_why",
            f"{PRIVATE}::test_other_spellings_of_this_machine_lead_nowhere",
            f"{PRIVATE}::test_a_name_that_turns_to_a_private_address_is_refused_when_it_connects",
        ),
    },
    "AudioSocket and FastAGI": {
        "Port scans: connect and leave, garbage, TLS, HTTP, SSH, half a header": (
            f"{LISTENERS}::test_a_port_scan_of_every_kind_is_thrown_out_and_the_call_keeps_time",
            f"{AGI}::test_a_port_scan_does_not_disturb_the_next_call",
            f"{AGI}::test_a_peer_that_speaks_something_else_is_closed_at_once",
            f"{AUDIO}::test_a_peer_that_speaks_something_else_is_closed_at_once",
        ),
        "Wrong and replayed ids of calls": (
            f"{LISTENERS}::test_the_id_of_a_call_that_is_up_lets_nobody_else_in",
            f"{AUDIO}::test_an_unknown_uuid_is_refused",
            f"{AUDIO}::test_a_replayed_uuid_is_refused",
            f"{AUDIO}::test_an_expired_uuid_is_refused_and_reported",
        ),
        "One byte a second": (
            f"{LISTENERS}::test_one_byte_a_second_does_not_keep_a_place",
            f"{AGI}::test_a_peer_that_sends_no_request_is_closed_after_the_deadline",
        ),
        "A flood of connections": (
            f"{LISTENERS}::test_a_flood_of_connections_is_bounded_and_the_next_caller_is_served",
            f"{AGI}::test_connections_over_the_cap_are_closed",
            f"{AUDIO}::test_connections_over_the_cap_are_closed",
        ),
        "Frames too large, of no kind, after the hang-up; a thousand digits": (
            f"{LISTENERS}::test_what_one_caller_sends_harms_no_other",
            f"{LINK}::test_what_asterisk_never_sends_breaks_the_link",
            f"{LINK}::test_a_header_without_measure_breaks_the_link",
        ),
        "A peer that stops reading": (f"{AUDIO}::test_a_peer_that_stops_reading_is_dropped_without_waiting",),
        "Questions about calls that are none of the asker's": (
            f"{LISTENERS}::test_whoever_reaches_fastagi_without_a_calls_id_changes_nothing_of_a_call",
        ),
        "Another machine (with `permit`)": (
            f"{AGI}::test_a_peer_outside_the_permitted_networks_is_closed",
            f"{AUDIO}::test_a_peer_outside_the_permitted_networks_is_closed",
        ),
    },
    "SIP and RTP": {
        "Rubbish, the torture messages of RFC 4475, a million fuzzed ones (`scripts/fuzz_sip.py`)": (
            f"{SIP}/test_endpoint_torture.py::test_each_of_them_has_its_verdict",
            f"{SIP_FUZZED}::test_broken_input_is_refused_in_order_and_in_time",
            f"{SIP}/test_hostile_calls.py::test_rubbish_in_an_invite_is_refused_or_a_call",
            f"{SIP}/test_hostile_calls.py::test_rubbish_within_a_call_is_answered_and_harms_nobody",
        ),
        "Having us send more to a forged address than was sent to us": (
            f"{SIP_FUZZED}::test_an_endpoint_under_fire_answers_in_proportion_and_keeps_nothing",
            f"{SIP}/test_incoming.py::test_nothing_is_sent_before_the_answer_is_acknowledged",
        ),
        "Calls without the password, and passwords played back": (
            f"{SIP}/test_incoming.py::test_who_asks_for_no_password_gives_none_and_who_must_does",
            f"{DIGEST}::test_counts_may_come_out_of_order_and_never_twice",
            f"{DIGEST}::test_what_was_forgotten_can_not_be_replayed",
        ),
        "Guessing the token of another's call": (
            f"{SIP}/test_incoming.py::test_an_uuid_that_nobody_expects_is_never_a_call",
            f"{SIP}/test_carrier.py::test_a_token_is_good_for_one_call",
        ),
        "Floods of calls and of connections; half a message": (
            f"{SIP}/test_incoming.py::test_calls_that_come_at_once_are_no_more_than_may_be",
            f"{SIP}/test_endpoint_streams.py::test_more_connections_than_the_limit_are_turned_away",
            f"{SIP}/test_endpoint_streams.py::test_half_a_message_is_not_waited_for_long",
        ),
        "Speaking into another's call, or having its sound sent elsewhere": (
            f"{SIP}/test_rtp_latch.py::test_a_stranger_takes_nothing_over_while_the_other_side_is_heard",
            f"{SIP}/test_rtp_latch.py::test_outside_the_permitted_networks_only_the_described_address_is_believed",
            f"{SIP}/test_srtp.py::test_what_was_changed_played_back_or_is_no_packet_is_not_opened",
        ),
    },
    "The REST API": {
        "A request hidden behind another": (f"{HTTP}::test_a_request_hidden_behind_another_is_not_carried_out",),
        "10 000 headers, heads of megabytes": (
            f"{HTTP}::test_a_head_that_is_none_is_refused_and_costs_little",
            f"{SERVER}::test_a_head_that_is_too_large_is_refused",
        ),
        "A head or a body that drips": (
            f"{SERVER}::test_a_connection_that_says_nothing_or_drips_is_closed",
            f"{HTTP}::test_a_body_that_drips_keeps_its_place_no_longer_than_allowed",
        ),
        "Huge and compressed bodies": (
            f"{HTTP}::test_a_body_that_is_announced_larger_than_allowed_is_refused",
            f"{HTTP}::test_a_compressed_bomb_is_refused",
            f"{GATE}::test_a_body_too_large_is_413_also_when_it_was_packed_small",
        ),
        "JSON bombs": (f"{HTTP}::test_json_that_is_a_bomb_is_a_400",),
        "Guessing keys": (
            f"{HTTP}::test_guessing_keys_ends_at_the_limit_and_those_that_fit_go_on",
            f"{GATE}::test_a_subscriber_of_ipv6_is_one_guesser",
        ),
        "Timing comparisons": (
            f"{HTTP}::test_what_is_secret_is_compared_in_constant_time",
            f"{KEYS}::test_every_key_is_compared_in_constant_time_whichever_it_is",
        ),
        "A flood of connections": (
            f"{SERVER}::test_one_connection_too_many_is_closed_and_counted_and_the_others_go_on",
        ),
        "A TLS handshake that never ends": (
            "tests/api/test_tls.py::test_a_connection_that_never_finishes_its_handshake_is_closed",
        ),
        "Looking around without a key": (
            f"{GATE}::test_what_is_no_operation_tells_nobody_without_a_key_what_there_is",
        ),
    },
    "The manager interface": {
        "A stolen secret that may do more than it needs": (
            f"{DOCTOR}::test_rights_that_own_the_machine_are_a_warning",
            f"{DOCTOR}::test_each_class_that_is_not_needed_is_named",
        ),
        "A login that may do too little": (f"{DOCTOR}::test_missing_rights_are_named_with_the_line_for_manager_conf",),
        "Listening to the login": ("tests/pbx/test_ami.py::test_the_secret_never_crosses_the_network",),
        "Channels of others, on the same PBX": (
            "tests/pbx/test_audit.py::test_nobody_elses_channel_is_a_stray",
            f"{AUDIT}::test_a_telephone_that_rings_for_a_forgotten_call_stops_and_others_go_on",
        ),
    },
    "Secrets": {
        "Reading logs (at debug), /metrics, /health, `config show`, the API, files, `ps`, the environment": (
            f"{SECRETS}::test_a_whole_call_at_the_finest_log_level_leaves_no_secret_anywhere",
        ),
        "A vendor that quotes the key it refuses": (
            f"{SECRETS}::test_a_refused_key_is_not_told_by_whoever_was_refused",
        ),
        "Tracebacks": (
            f"{LOG}::test_a_secret_in_an_exceptions_text_is_masked",
            f"{LOG}::test_an_exception_is_written_with_its_traceback_and_without_local_values",
        ),
        "An image of the memory after a crash": (
            f"{SECRETS}::test_a_crash_leaves_no_image_of_the_memory",
            "tests/test_systemd_unit.py::test_a_crash_leaves_no_image_of_the_memory",
        ),
    },
}
"""By subject: the attack, and the tests that make it."""


def tests_of(path: Path) -> Iterator[str]:
    """The names of a file's tests."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def check() -> None:
    """Raises SystemExit for a test that is not there, or that no attack names."""
    named = {place for attacks in ATTACKS.values() for places in attacks.values() for place in places}
    there = {
        f"{path.relative_to(ROOT)}::{name}"
        for path in {ROOT / place.partition("::")[0] for place in named}
        | set((ROOT / "tests/security").glob("test_*.py"))
        for name in tests_of(path)
    }
    if missing := sorted(named - there):
        raise SystemExit(f"draw-attacks: there is no {', '.join(missing)}")
    own = {place for place in there if place.startswith("tests/security/") and "test_index" not in place}
    if unnamed := sorted(own - named):
        raise SystemExit(f"draw-attacks: no attack names {', '.join(unnamed)}")


def table() -> str:
    """Markdown, a section for each subject."""
    lines: list[str] = []
    for subject, attacks in ATTACKS.items():
        lines += [f"### {subject}", "", "| attack | what it met | test |", "| --- | --- | --- |"]
        for attack, places in attacks.items():
            met = "<br>".join(place.partition("::test_")[2].replace("_", " ") for place in places)
            files = "<br>".join(dict.fromkeys(f"`{place.partition('::')[0]}`" for place in places))
            lines.append(f"| {attack} | {met} | {files} |")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    checking = parser.parse_args().check
    check()
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise SystemExit(f"draw-attacks: {PAGE.name} lacks the markers {BEGIN} and {END}")
    drawn = f"{before}{BEGIN}\n{table()}{END}{after}"
    if checking:
        print("docs/security.md is as drawn" if drawn == page else "docs/security.md: run scripts/draw-attacks.py")
        return int(drawn != page)
    PAGE.write_text(drawn, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
