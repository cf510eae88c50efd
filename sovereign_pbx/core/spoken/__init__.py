"""What a voice is given to say, instead of what was written for the eye.

Addresses, telephone and account numbers are put into words for every voice, because all of them read these badly;
numbers, money, dates, times, units and abbreviations for voices that do not read them by themselves (`full`).
The written text stays what it was: history, transcript and phrase cache know nothing of the spoken form, and
`alignment` leads a voice's word times back to it. Four languages; in others the text is left as it is.
"""

from collections.abc import Sequence
from typing import Final

from sovereign_pbx.core.speakable import TAG
from sovereign_pbx.core.spoken import de, en, fr, nl
from sovereign_pbx.core.spoken.form import Edit, Spoken, edited
from sovereign_pbx.core.spoken.lexicon import Lexicon
from sovereign_pbx.core.spoken.patterns import ADDRESS
from sovereign_pbx.core.spoken.pronunciation import Pronunciation
from sovereign_pbx.core.spoken.scan import compiled, edits

__all__ = ["RULES", "Pronunciation", "Spoken", "compile_rules", "lexicon_of", "say", "uncompiled"]

RULES: Final = 1
"""Number of the rules: it is part of a voice's key, so that phrases rendered by older rules are made anew."""

_LEXICA: Final = {"nl": nl.LEXICON, "en": en.LEXICON, "de": de.LEXICON, "fr": fr.LEXICON, "en-us": en.AMERICAN}
_PASSES: Final = 4  # one, and another as long as something changed: an expansion may bring forth what has a rule, too
_PRIVATE: Final = 0xE000  # stands for what pronunciation and tags put in, which no rule may look at
_MOST_PRIVATE: Final = 0xF8FF - _PRIVATE
_NO_PRIVATE: Final = dict.fromkeys(range(_PRIVATE, 0xF900), "·")
_compiled: set[tuple[Lexicon, bool]] = set()
_NOTHING: Final = Pronunciation()


def lexicon_of(language: str) -> Lexicon | None:
    """The rules for a BCP 47 tag; None for languages that have none."""
    tag = language.lower().replace("_", "-")
    return _LEXICA.get(tag) or _LEXICA.get(tag.partition("-")[0])


def uncompiled(languages: Sequence[str], *, full: bool) -> list[Lexicon]:
    """Of these languages (none named: of all) the rules whose first use would take tens of milliseconds."""
    wanted = [lexicon_of(language) for language in languages or _LEXICA]
    return [lexicon for lexicon in wanted if lexicon is not None and (lexicon, full) not in _compiled]


def compile_rules(lexica: Sequence[Lexicon], *, full: bool) -> None:
    """Have them ready; on whichever thread has time for it."""
    for lexicon in lexica:
        compiled(lexicon, full=full)
        _compiled.add((lexicon, full))


def say(text: str, lexicon: Lexicon | None, *, full: bool = True, pronunciation: Pronunciation = _NOTHING) -> Spoken:
    """The spoken form of `text`. Audio tags in it are kept: who speaks with a voice that knows none takes them out.

    Never raises; linear in the text. Without a pronunciation list the spoken form is its own spoken form.
    """
    if any("\ue000" <= each <= "\uf8ff" for each in text):
        text = text.translate(_NO_PRIVATE)
    kept, said = _set_apart(text, pronunciation)
    form = edited(text, kept)
    for _ in range(_PASSES if lexicon is not None else 0):
        assert lexicon is not None
        changes = list(edits(form.text, lexicon, full=full))
        if not changes:
            break
        form = edited(form.text, changes).after(form)
    return _put_back(form, said) if said else form


def _set_apart(text: str, pronunciation: Pronunciation) -> tuple[list[Edit], list[str]]:
    """Tags and the words of the list, each replaced by a character that no rule knows; and what they stand for."""
    found = [Edit(match.start(), match.end(), match.group()) for match in TAG.finditer(text)]
    listed = pronunciation.edits(text)
    if listed:
        taken = [(edit.start, edit.end) for edit in found]
        taken += [match.span() for match in ADDRESS.finditer(text)]
        found += _free(listed, sorted(taken))
    found.sort()
    kept: list[Edit] = []
    said: list[str] = []
    for edit in found[:_MOST_PRIVATE]:
        if edit.said.strip():
            kept.append(edit._replace(said=chr(_PRIVATE + len(said))))
            said.append(edit.said)
        else:
            kept.append(_without_gap(text, edit))
    return kept, said


def _free(listed: Sequence[Edit], taken: Sequence[tuple[int, int]]) -> list[Edit]:
    """The words of the list that are not part of an address or a tag."""
    free: list[Edit] = []
    place = 0
    for edit in listed:
        while place < len(taken) and taken[place][1] <= edit.start:
            place += 1
        if place == len(taken) or edit.end <= taken[place][0]:
            free.append(edit)
    return free


def _without_gap(text: str, edit: Edit) -> Edit:
    """A word that is not said takes one of the spaces round it along."""
    if text[edit.end : edit.end + 1].isspace():
        return edit._replace(end=edit.end + 1)
    if edit.start and text[edit.start - 1].isspace():
        return edit._replace(start=edit.start - 1)
    return edit


def _put_back(form: Spoken, said: Sequence[str]) -> Spoken:
    changes = [
        Edit(place, place + 1, said[ord(each) - _PRIVATE])
        for place, each in enumerate(form.text)
        if "\ue000" <= each <= "\uf8ff"
    ]
    return edited(form.text, changes).after(form) if changes else form
