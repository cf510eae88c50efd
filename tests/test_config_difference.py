"""What two configurations differ in, by name and key."""

from pathlib import Path

import pytest

from sovereign_pbx.config import Config, load
from sovereign_pbx.config_difference import Change, Difference, difference, usable

FILE = """
[daemon]
state_dir = "state"
[webhook]
url = "https://example.com/hook?token=abcdef123"
secret = "first-secret"
[assistants.reception]
first_message = "Hello"
llm_config = { provider = "own", model = "a", messages = [{ role = "system", content = "Be kind." }] }
[providers.own]
base_url = "http://127.0.0.1:1/v1"
[prices.providers.openai]
input_per_million_tokens = 1.0
[[numbers]]
number = "*"
assistant = "reception"
"""


def configured(folder: Path, text: str) -> Config:
    file = folder / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return load(file, environ={})


def told(folder: Path, *changes: tuple[str, str]) -> Difference:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return difference(configured(folder, FILE), configured(folder, text))


def test_the_same_file_differs_in_nothing(tmp_path: Path) -> None:
    assert told(tmp_path) == Difference()
    assert told(tmp_path, ("\n[daemon]", "\n# a comment\n[daemon]")) == Difference()


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ('"Hello"', '"Hi"', Change("assistants.reception.first_message")),
        ('model = "a"', 'model = "b"', Change("assistants.reception.llm_config.model")),
        ("Be kind.", "Be brief.", Change("assistants.reception.llm_config.messages")),
        ("127.0.0.1:1", "127.0.0.1:2", Change("providers.own.base_url")),
        ("first-secret", "second-secret", Change("webhook.secret")),
        ('assistant = "reception"', 'assistant = "reception"\nname = "Main"', Change("numbers.*.name")),
        ("[webhook]", "[limits]\nmax_calls = 5\n[webhook]", Change("limits.max_calls", "100", "5")),
        (
            "[webhook]",
            '[http]\npublic_url = "https://a.b"\n[webhook]',
            Change("http.public_url", '""', '"https://a.b"'),
        ),
        ("tokens = 1.0", "tokens = 2.0", None),
    ],
)
def test_a_change_is_named_by_its_key(tmp_path: Path, old: str, new: str, change: Change | None) -> None:
    changed = told(tmp_path, (old, new)).changed
    assert changed == (change,) if change else [one.key for one in changed] == ["prices.providers"]


def test_a_secret_in_an_address_is_not_shown(tmp_path: Path) -> None:
    (change,) = told(tmp_path, ("example.com", "example.org")).changed
    assert change.key == "webhook.url" and "example.org" in change.after and "abcdef123" not in str(change)


def test_long_values_are_cut(tmp_path: Path) -> None:
    allowed = ", ".join(f'"+31{number}*"' for number in range(100))
    (change,) = told(tmp_path, ("[webhook]", f"[dialling]\nallow = [{allowed}]\n[webhook]")).changed
    assert len(change.after) < 100


FIXED = [
    ('[http]\nport = 1\nhost = "::1"', ["http.host", "http.port"]),
    ("[http]\nenabled = false", ["http.enabled"]),
    ("[asterisk]\nmax_connections = 7", ["asterisk.max_connections"]),
    ('[asterisk.ami]\nsecret = "hunter2"', ["asterisk.ami.secret"]),
    ('[storage]\nsynchronous = "normal"', ["storage.synchronous"]),
    ('[log]\nformat = "json"', ["log.format"]),
    ('[dialling]\ncontext = "other"', ["dialling.context"]),
]


@pytest.mark.parametrize(("section", "keys"), FIXED)
def test_what_only_a_restart_changes_is_told_apart(tmp_path: Path, section: str, keys: list[str]) -> None:
    found = told(tmp_path, ("[webhook]", f"{section}\n[webhook]"))
    assert ([change.key for change in found.needs_restart], found.changed) == (keys, ())
    assert "hunter2" not in str(found)


def test_the_state_folder_stays_where_it_is_until_a_restart(tmp_path: Path) -> None:
    present = configured(tmp_path, FILE)
    wanted = configured(tmp_path, FILE.replace('"state"', '"elsewhere"'))
    assert [str(change) for change in difference(present, wanted).needs_restart] == [
        'daemon.state_dir "state" → "elsewhere"'
    ]
    assert usable(present, wanted).state_dir == present.state_dir


def test_people_read_it_in_lines(tmp_path: Path) -> None:
    found = told(tmp_path, ('number = "*"', 'number = "100"'), ("[webhook]", "[http]\nport = 1\n[webhook]"))
    assert found.lines() == ["added: numbers.100", "removed: numbers.*", "needs a restart: http.port 8090 → 1"]
