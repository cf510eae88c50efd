"""The whole file: what it comes to, and everything that is wrong with it in one run."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign_pbx.assistants.table import Record
from sovereign_pbx.config import ROOT, Config, examine, load
from sovereign_pbx.config_sections import Dialling
from sovereign_pbx.core.errors import ConfigError

SOUND = """
[asterisk.ami]
secret = "${env:AMI}"
[providers.openai]
api_key = "${env:OPENAI}"
base_url = "http://127.0.0.1:1234/v1"
[assistants.reception]
first_message = "Hello"
webhook_url = "https://example.com/hook"
webhook_secret = "${env:HOOK}"
[[assistants.reception.llm_config.messages]]
role = "system"
content = "${file:prompt.txt}"
[[numbers]]
number = "+31850835037"
assistant = "reception"
"""

ENVIRON = {"AMI": "ami-secret", "OPENAI": "sk-openai", "HOOK": "hook-secret"}


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o640)
    return path


def findings(folder: Path, text: str) -> list[str]:
    """`line:column severity key: remedy` of every finding."""
    examined = examine(written(folder, text), environ=ENVIRON)
    return [f"{item.line}:{item.column} {item.severity} {item.key}: {item.remedy}" for item in examined.findings]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    (tmp_path / "prompt.txt").write_text("Be kind.\n")
    return written(tmp_path, SOUND)


def test_a_sound_file_is_read_whole(sound: Path) -> None:
    config = load(sound, environ=ENVIRON)
    number, assistant = config.directory.find("0031850835037")
    assert assistant is not None and number is not None
    assert assistant.llm_config["messages"][0]["content"] == "Be kind."
    assert (assistant.name, assistant.webhook_secret) == ("reception", "hook-secret")
    assert assistant.id and number.id
    assert config.asterisk.ami.secret == "ami-secret"
    assert config.asterisk.agi.port == 4573
    assert config.providers["openai"] == {"api_key": "sk-openai", "base_url": "http://127.0.0.1:1234/v1"}
    assert config.warnings == ()


def test_no_secret_shows_in_any_repr_of_the_configuration(sound: Path) -> None:
    config = load(sound, environ=ENVIRON)
    for secret in ENVIRON.values():
        assert secret not in repr(config)
        assert secret not in repr(dict(config.providers))
        assert config.redactor.redact(f"x {secret}") == "x ***"


def test_an_empty_file_is_a_configuration_with_every_default(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""), environ={})
    assert config.daemon == Config().daemon
    assert config.database == Path("/var/lib/sovereign-pbx/sovereign.sqlite")
    assert config.recordings is None
    assert "nobody answers" in str(config.warnings[0])


def test_paths_start_at_the_file_and_at_the_state_folder(tmp_path: Path) -> None:
    recording = '[recording]\nenabled = true\ndir = "/mnt/recordings"\n'
    text = f'[daemon]\nstate_dir = "state"\n{recording}[storage]\npath = "calls.db"\n'
    config = load(written(tmp_path, text), environ={})
    assert config.state_dir == tmp_path / "state"
    assert config.database == tmp_path / "state/calls.db"
    assert config.recordings == Path("/mnt/recordings")


def test_everything_wrong_is_found_in_one_run_with_its_place(tmp_path: Path) -> None:
    text = """\
[asterisk.agi]
prot = 4573
port = 99999
[htpp]
[asterisk.ami]
secret = "${env:NOPE}"
[assistants.reception]
first_mesage = "Hello"
llm_config = { temperature = 3, tools = [{ type = "endcal" }] }
[[numbers]]
number = "100"
assistant = "recepton"
[[numbers]]
number = 100
"""
    assert findings(tmp_path, text) == [
        '2:1 error asterisk.agi.prot: did you mean "port"?',
        "3:1 error asterisk.agi.port: ",
        '4:2 error htpp: did you mean "http"?',
        "6:1 error asterisk.ami.secret: set NOPE for the daemon",
        '8:1 error assistants.reception.first_mesage: did you mean "first_message"?',
        "9:16 error assistants.reception.llm_config.temperature: ",
        "9:44 error assistants.reception.llm_config.tools[0].type: did you mean 'end_call'?",
        '12:1 error numbers[0].assistant: did you mean "reception"?',
        "14:1 error numbers[1].number: ",
    ]


def test_the_error_of_load_shows_every_finding(tmp_path: Path) -> None:
    path = written(tmp_path, "[http]\nport = 0\nhots = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert str(caught.value) == (
        f"{path} has 2 errors:\n"
        f"{path}:2:1: error: http.port: must be a whole number from 1 to 65535, not 0\n"
        f'{path}:3:1: error: http.hots: unknown key "hots"\n'
        '    did you mean "host"?'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[numbers]]\nnumber = "+31 1"\n[[numbers]]\nnumber = "311"\n', "4:1 error numbers[1].number"),
        ('[assistants.a]\nid = "x"\n[assistants.b]\nid = "x"\n', "4:1 error assistants.b.id"),
        ("[http]\nport = 4573\n", "None:None error asterisk.agi.port"),
        ('[webhook]\nurl = "https://example.com/"\n', "1:2 warning webhook"),
        ('[assistants.a]\nwebhook_url = "https://example.com/"\n', "2:1 warning assistants.a.webhook_url"),
        ('[assistants.a]\nwebhook_events = ["assistant-request"]\n', "2:1 warning assistants.a.webhook_events"),
        ("[assistants.a]\nrecording_consent = { enabled = true }\n", "2:1 warning assistants.a.recording_consent"),
        ('[asterisk.agi]\nhost = "0.0.0.0"\n', "2:1 warning asterisk.agi.host"),
        ('[http]\nhost = "::"\n', "2:1 warning http.host"),
        ('[[numbers]]\nnumber = "1"\n', "1:3 warning numbers[0]"),
        ("[asterisk.ami]\n", "1:11 warning asterisk.ami"),
        (
            "[assistants.a.llm_config]\n"
            'tools = [{ type = "transfer_call", destinations = [{ number = "1", description = "x" }] }]\n',
            "2:1 warning assistants.a.llm_config.tools",
        ),
        (
            '[assistants.a.llm_config]\ntools = [{ name = "a", description = "x" }]\n',
            "2:1 warning assistants.a.llm_config.tools",
        ),
    ],
)
def test_what_no_single_key_shows_is_found(tmp_path: Path, text: str, expected: str) -> None:
    assert any(item.startswith(f"{expected}:") for item in findings(tmp_path, text)), findings(tmp_path, text)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a = \n", "not valid TOML: Invalid value"),
        (b"a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "not usable TOML|nested too deeply"),
        (b"a = " + b"9" * 5000, "not usable TOML"),
        (b"#" * (9 << 20), "larger than 8 MiB"),
    ],
)
def test_what_is_no_toml_is_one_error(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        load(path, environ={})


def test_a_syntax_error_has_its_place(tmp_path: Path) -> None:
    (finding,) = examine(written(tmp_path, "[http]\nport = = 1\n"), environ={}).findings
    assert (finding.line, finding.column) == (2, 8)
    (at_end,) = examine(written(tmp_path, '[http]\nhost = "x'), environ={}).findings
    assert at_end.line == 2


def test_a_missing_file_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config example"):
        load(tmp_path / "nope.toml", environ={})
    with pytest.raises(ConfigError, match=r"is not a file|can't be read"):
        load(tmp_path, environ={})


def test_the_file_is_named_by_option_then_environment_then_etc(sound: Path) -> None:
    assert load(environ={**ENVIRON, "SOVEREIGN_PBX_CONFIG": str(sound)}).path == sound
    assert str(examine(environ={}).path) == "/etc/sovereign-pbx/config.toml"
    assert examine("/nope", environ={"SOVEREIGN_PBX_CONFIG": str(sound)}).config is None


def test_a_plain_secret_in_a_file_that_everybody_reads_is_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path, '[asterisk.ami]\nsecret = "plain-secret"\n')
    assert not [item for item in examine(path, environ={}).findings if "everybody" in item.message]
    path.chmod(0o644)
    (found,) = [item for item in examine(path, environ={}).findings if "everybody" in item.message]
    assert (found.line, found.severity) == (2, "warning")
    assert "plain-secret" not in str(found)


# --- machine-owned assistants


def with_state(folder: Path, **files: str) -> Path:
    made = folder / "state/assistants.d"
    made.mkdir(parents=True)
    for name, text in files.items():
        (made / f"{name}.toml").write_text(text)
    return written(folder, '[daemon]\nstate_dir = "state"\n[[numbers]]\nnumber = "1"\nassistant = "a1"\n')


def test_assistants_made_through_the_api_are_read_beside_the_file(tmp_path: Path) -> None:
    config = load(with_state(tmp_path, a1='name = "Made"\nown_key = 1\n'), environ={})
    assert config.directory.find("1")[1] is config.assistants["a1"]
    assert config.assistants["a1"].id == "a1"
    assert config.assistants["a1"].extra == {"own_key": 1}


def test_references_of_assistants_made_through_the_api_are_never_expanded(tmp_path: Path) -> None:
    config = load(with_state(tmp_path, a1='first_message = "${file:/etc/passwd}"\n'), environ={})
    assert config.assistants["a1"].first_message == "${file:/etc/passwd}"


def test_a_damaged_machine_owned_file_costs_only_its_own_assistant(tmp_path: Path) -> None:
    config = load(with_state(tmp_path, a1="", a2="is_active = 3\n", a3="= ["), environ={})
    assert set(config.assistants) == {"a1"}
    damaged = [item for item in config.warnings if "assistants.d" in item.file]
    assert [(Path(item.file).name, item.line) for item in damaged] == [("a2.toml", 1), ("a3.toml", 1)]


# --- anything at all

NAMES = st.sampled_from(
    [
        name
        for key in ROOT.keys.values()
        for name in (key.name, *(key.shape.table.keys if isinstance(key.shape, Record) else ()))
    ]
    + ["front", "assistant", "number", "llm_config", "tools", "ami", "agi", "x"]
)
ANYTHING = st.recursive(
    st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.text(max_size=6)
    | st.datetimes()
    | st.just("${env:X}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize("section", ["limits", "campaigns", "webhook", "assistants", "workflows", "numbers"])
def test_a_section_that_is_no_table_is_an_error_like_others(tmp_path: Path, section: str) -> None:
    assert any(f"error {section}" in item for item in findings(tmp_path, f"{section} = 5\n"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, ANYTHING, max_size=5))
def test_any_toml_is_a_configuration_or_a_config_error(tmp_path: Path, data: dict[str, Any]) -> None:
    data.pop("daemon", None)  # its state_dir would be looked into
    path = written(tmp_path, tomli_w.dumps(data))
    try:
        config = load(path, environ={})
    except ConfigError as error:
        assert str(path) in str(error)
    else:
        assert repr(config)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_a_configuration_or_a_config_error(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(raw)
    assert isinstance(examine(path, environ={}).findings, tuple)


# --- what may be dialled


@pytest.mark.parametrize(
    ("number", "permitted"),
    [
        ("+31201234567", True),
        ("0031201234567", True),
        ("+31 (20) 123-4567", True),
        ("+31900123456", False),
        ("0031900123456", False),
        ("200", True),
        ("2001", False),
        ("31201234567", False),
        ("3112", False),
        ("+32", False),
        ("", False),
        ("+31201234567@evil", False),
        ("+31201234567&Local/1", False),
        ("+31201234567,1", False),
    ],
)
def test_only_what_is_allowed_and_not_denied_may_be_dialled(number: str, permitted: bool) -> None:
    dialling = Dialling(allow=("+31*", "200"), deny=("+31 900*",))
    assert dialling.permits(number) is permitted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[asterisk]\nenabled = false\n", "asterisk.enabled: enable [asterisk], [sip] or [freeswitch]"),
        ('[asterisk]\nmedia = "sip"\n', "asterisk.media: set [sip] enabled = true"),
        ("[freeswitch]\nenabled = true\n", "freeswitch.media: set [sip] enabled = true"),
        ("[sip]\nenabled = true\nport = 8090\n", "sip.port"),
        ("[sip]\nenabled = true\nrtp_first_port = 32000\n", "sip.rtp_first_port"),
        ("[sip]\nenabled = true\njitter_min_ms = 150\njitter_max_ms = 100\n", "sip.jitter_min_ms"),
    ],
)
def test_a_pbx_that_nobody_could_reach_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    assert any(f"error {expected}" in item for item in findings(tmp_path, text))


def test_sip_that_anybody_may_reach_is_warned_about(tmp_path: Path) -> None:
    open_to_all = '[sip]\nenabled = true\nhost = "0.0.0.0"\n'
    assert any("warning sip.host" in item for item in findings(tmp_path, open_to_all))
    assert not any("sip.host" in item for item in findings(tmp_path, open_to_all + 'permit = ["10.0.0.5"]\n'))


def test_nothing_may_be_dialled_until_it_is_allowed() -> None:
    assert not Dialling().permits("200")
    assert Dialling(allow=("*",)).permits("200")


def test_every_section_of_the_file_is_a_field_of_the_configuration() -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    assert set(ROOT.keys) <= fields
