"""The recordings of the packages as 8 kHz audio with their words: decoded once, kept in one file of the cache."""

import gzip
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.bench_conversation import packages
from sovereign_pbx.core.audio import PHONE_RATE
from sovereign_pbx.core.errors import BadInput
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.resample import resample
from sovereign_pbx.media.wav import read_wav
from sovereign_pbx.testing.debian_packages import Progress, quiet

Samples = NDArray[np.int16]

DECODED = "decoded-3.npz"  # raise the number when what is decoded or how changes
_ENTRY = re.compile(r"^\ufeff?([\w./-]+): ?(.*)$")
_DIALOGUE = re.compile(r'dialogId\("([\w-]+)"[^\n]*\)\s*dialogStr\("([^"\n]*)"\)')
_SPEAKER = re.compile(r"-([mv])-")  # the fishes: malá, a woman, and velký, a man
_ASIDE = re.compile(r"[\[\](){}<>*#@=]")
# Pieces that are played before or after others, most of them without dots in the transcript: no turn ends so.
_FRAGMENT = re.compile(
    r"conf-(hasjoin|hasleft|thereare|otherinparty|users?willjoin|enteringno|roll-callcomplete)|confbridge-.*-(in|out)"
    r"|confbridge-(has-|there-are|participants|.*-extended)|dir-(first|last|pls|using|multi\d|intro)|followme/(call-from|status)"
    r"|vm-(onefor|press|changeto|for|from|savedto|theperson|youhave|calldiffnum|isonphone|isunavail|num-i-have)"
    r"|queue-(thereare|holdtime|quantity\d|callswaiting|less-than)|astcc|at-tone|demo-(congrats|abouttotry)|if-correct"
    r"|privacy-to-blacklist|to-(listen|rerecord|call)|num-was|you-entered|is-(set-to|in-use)|priv-callpending"
)
_GOES_ON = re.compile(r"^\s*(\.\.|…)|(\.\.|…)\W*$")  # before or after another prompt
_AROUND_S = 0.03
DROP_DB = 32.0  # what counts as speech lies less than this below the loudest; so the detector's hangover was measured
_DROP_DB = {"nl": 22.0}  # spoken into an artificial room, whose reverberation is not the speaker's


@dataclass(frozen=True, slots=True)
class Recording:
    """`kind`: "speech" (with its `text` as the transcript has it), "sound" (coughs and the like) or "music".

    `whole`: something that a person could say and be done with, as far as name and transcript tell.
    """

    kind: str
    voice: str
    language: str
    name: str
    text: str
    audio: Samples

    @property
    def whole(self) -> bool:
        return not self.text.endswith((",", ":")) and not _FRAGMENT.match(self.name.split("/", 1)[-1])


def load(progress: Progress = quiet) -> list[Recording]:
    """Every recording that the corpus is mixed from. Raises PackagesUnavailable."""
    root = packages.recordings(progress)
    store = root / DECODED
    if not store.exists():
        _decode_all(root, store, progress)
    with np.load(store) as kept:
        audio, ends, entries = kept["audio"], kept["ends"], json.loads(str(kept["entries"]))
    starts = np.concatenate(([0], ends[:-1]))
    return [
        Recording(kind, voice, language, name, text, audio[a:b])
        for (kind, voice, language, name, text), a, b in zip(entries, starts, ends, strict=True)
    ]


def _decode_all(root: Path, store: Path, progress: Progress) -> None:
    entries, pieces = [], []
    found = list(_files(root))
    for number, (kind, voice, language, text, path) in enumerate(found):
        progress("decoding", number / len(found))
        audio = _decoded(path)
        audio = trimmed(audio, _DROP_DB.get(language, DROP_DB)) if kind != "music" else audio
        if audio.size:
            # the folder is part of the name: both "second" and "digits/second" exist
            name = "/".join(path.with_suffix("").parts[-2:])
            entries.append((kind, voice, language, name, text))
            pieces.append(audio)
    partial = store.with_suffix(".partial.npz")
    np.savez(
        partial,
        audio=np.concatenate(pieces),
        ends=np.cumsum([piece.size for piece in pieces]),
        entries=np.array(json.dumps(entries)),
    )
    partial.rename(store)


def _files(root: Path) -> Iterator[tuple[str, str, str, str, Path]]:
    """(kind, voice, language, text, path) of every file that is used."""
    share = root / "usr/share"
    for folder in sorted((share / "asterisk/sounds").iterdir()):
        language = folder.name[:2]
        for name, text in sorted(_transcript(root, language).items()):
            path = folder / f"{name}.wav"
            if path.exists():
                yield "speech", folder.name, language, text, path
    yield from _dialogues(share / "games/fillets-ng")
    for path in sorted((share / "scratch/Media/Sounds/Human").iterdir()):
        yield "sound", "scratch", "", "", path
    for path in sorted((share / "asterisk/moh").glob("*.wav")):
        yield "music", "opsound", "", "", path


def _transcript(root: Path, language: str) -> dict[str, str]:
    """What is said in each prompt; prompts that hold sounds or are described rather than written down are left out."""
    path = root / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8", "replace").splitlines()
    entries = (match.groups() for match in map(_ENTRY.match, lines) if match)
    usable = ((name, text) for name, text in entries if cleaned(text) and not _ASIDE.search(text))
    return {name: cleaned(text) for name, text in usable if not _GOES_ON.search(text)}


def _dialogues(game: Path) -> Iterator[tuple[str, str, str, str, Path]]:
    said: dict[str, str] = {}
    for script in sorted((game / "script").rglob("*dialogs_nl.lua")):
        said.update(_DIALOGUE.findall(script.read_text("utf-8", "replace")))
    for path in sorted((game / "sound").glob("**/nl/*.ogg")):
        speaker, text = _SPEAKER.search(path.stem), cleaned(said.get(path.stem, ""))
        if speaker and text and not _ASIDE.search(text) and not _GOES_ON.search(said[path.stem]):
            yield "speech", f"nl_NL_{'f' if speaker[1] == 'm' else 'm'}_Fish", "nl", text, path


def cleaned(text: str) -> str:
    """One line, plain quotes."""
    plain = text.replace("’", "'").replace("…", " ").replace("...", " ")
    return " ".join(re.sub(r'["“”«»„_]', " ", plain).split())


def _decoded(path: Path) -> Samples:
    """A file as mono at 8 kHz."""
    if path.suffix == ".wav":
        try:
            rate, channels = read_wav(path)
            return _phone(channels.mean(axis=0).astype("<i2"), rate)
        except BadInput:
            pass  # some are compressed or of 8 bits
    return _decoded_by_ffmpeg(path)


def _decoded_by_ffmpeg(path: Path) -> Samples:
    av = importlib.import_module("av")  # comes with the extra `embedded`; only this needs it
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        to_mono = av.AudioResampler(format="s16", layout="mono", rate=rate)
        frames = [frame for packet in container.decode(audio=0) for frame in to_mono.resample(packet)]
        pcm = b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in frames)
    return _phone(samples_of(pcm), rate)


def _phone(samples: Samples, rate: int) -> Samples:
    return samples_of(resample(samples.astype("<i2").tobytes(), rate, PHONE_RATE))


def trimmed(audio: Samples, drop_db: float = DROP_DB) -> Samples:
    """From just before the first to just after the last 10 ms that count as sound; empty when nothing does."""
    loud = np.flatnonzero(activity(audio, drop_db))
    if not loud.size:
        return audio[:0]
    around = int(_AROUND_S * PHONE_RATE)
    return audio[max(0, int(loud[0]) * 80 - around) : (int(loud[-1]) + 1) * 80 + around]


def activity(audio: Samples, drop_db: float = DROP_DB) -> NDArray[np.bool_]:
    """Which 10 ms hold speech: those less than `drop_db` below the loudest."""
    level = levels(audio)
    if not level.size:
        return np.zeros(0, np.bool_)
    loud: NDArray[np.bool_] = level > max(float(level.max()) - drop_db, -58.0)
    return loud


def levels(audio: Samples) -> NDArray[np.float64]:
    """The level of each 10 ms in dBFS, over 20 ms round it."""
    frames = audio[: audio.size // 80 * 80].astype(np.float64).reshape(-1, 80)
    power = np.convolve((frames**2).mean(axis=1), np.ones(2) / 2, mode="same") if len(frames) else np.zeros(0)
    return 10 * np.log10(power / 32768**2 + 1e-10)
