"""What `check` says about reports, mail, analysis, links and retention."""

from pathlib import Path

import pytest

from sovereign_pbx.config import Examined, examine

USUAL = """
[assistants.desk]
{assistant}
[[numbers]]
number = "*"
assistant = "desk"
[asterisk.ami]
secret = "s"
"""
PLAN = "analysis_plan = {{ structured_data_plan = {{ enabled = true, {} }} }}"


def examined(folder: Path, sections: str = "", assistant: str = "") -> Examined:
    file = folder / "config.toml"
    file.write_text(f'[daemon]\nstate_dir = "{folder}"\n{sections}' + USUAL.format(assistant=assistant))
    file.chmod(0o600)
    return examine(file, environ={})


def said(examined: Examined) -> list[str]:
    return [finding.message for finding in examined.findings]


def test_nothing_is_said_about_what_works(tmp_path: Path) -> None:
    mail = '[mail]\nhost = "mail.example.com"\nfrom = "pbx@example.com"\n'
    mail += "[retention]\ncontent_days = 30\nmetadata_days = 90\n"
    prices = '[prices.providers."openai/gpt-5.4"]\ninput_per_million_tokens = 1.25\n'
    fine = 'notification_emails = ["a@x.nl"]\n' + PLAN.format('schema = {type = "object"}')
    found = examined(tmp_path, mail + prices, fine)
    assert said(found) == []
    assert found.config is not None
    assert found.config.mail.sender == "pbx@example.com"
    price = found.config.prices.of("openai", "gpt-5.4")
    assert price is not None
    assert price.input_per_million_tokens == 1.25


@pytest.mark.parametrize(
    ("sections", "assistant", "words"),
    [
        ("", 'notification_email = "a@x.nl"', "gets nothing: there is no mail server"),
        ("", 'notification_emails = ["a@x.nl"]', "gets nothing: there is no mail server"),
        ("", PLAN.format('template_id = "gone"'), 'there is no analysis template "gone"'),
        ("", PLAN.format('schema = {type = "objekt"}'), "nothing is analysed: the schema is wrong"),
        ("", PLAN.format('schema = {"$ref" = "https://example.com/s"}'), "refers to what is not in it"),
        ('[mail]\nhost = "m"\nfrom = "a@b"\nusername = "u"\n', "", "is empty although there is a username"),
        (
            '[mail]\nhost = "m"\nfrom = "a@b"\nusername = "u"\npassword = "p"\nsecurity = "none"\n',
            "",
            "for everybody to read",
        ),
        ("[recording]\nenabled = true\n", "", "that only this machine understands"),
        ("[retention]\nmetadata_days = 30\n", "", "keeps what was said longer"),
    ],
)
def test_what_is_doubtful_is_said(tmp_path: Path, sections: str, assistant: str, words: str) -> None:
    found = examined(tmp_path, sections, assistant)
    assert found.config is not None
    assert any(words in message for message in said(found)), said(found)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ('[mail]\nhost = "m"\n', 'has no "from"'),
        ('[mail]\nhost = "m"\nfrom = "nobody"\n', "an e-mail address"),
        ('[post_call]\nprovider = "opnai"\n', "there is no provider 'opnai'"),
        ('[post_call]\nprovider = "mistral"\n', "api_key is missing"),
    ],
)
def test_what_cannot_work_is_an_error(tmp_path: Path, sections: str, words: str) -> None:
    found = examined(tmp_path, sections)
    assert found.config is None
    assert any(words in message for message in said(found)), said(found)


def test_a_models_name_for_after_the_call_is_taken_without_a_word(tmp_path: Path) -> None:
    llm = 'llm_config = { provider = "local", post_call_model = "gpt-5.4-nano" }'
    assert said(examined(tmp_path, "", llm)) == []
