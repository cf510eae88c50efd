"""What two sides agree on about a call's sound: offer and answer (RFC 3264) for telephone audio.

One codec is agreed at a time, with telephone events (RFC 4733) and comfort noise (RFC 3389) beside it. The codec of a
call stays through re-INVITEs as long as the other side still offers it.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from sovereign_pbx.wire.formats import Format, formats_of, wanted
from sovereign_pbx.wire.sdes import SUITES, Key, Keys, new_key, parse_key
from sovereign_pbx.wire.sdp import Attribute, Description, Media, is_address

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Encryption = Literal["off", "offered", "required"]

PTIME_MS: Final = 20
_PROTOCOLS: Final = {"RTP/AVP": False, "RTP/AVPF": False, "RTP/SAVP": True, "RTP/SAVPF": True}  # whether encrypted
_NOWHERE: Final = ("0.0.0.0", "::")  # hold as it was before RFC 3264
_DIRECTIONS: Final[Mapping[str, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}


class Unacceptable(ValueError):
    """Nothing can be agreed on: 488 with a Warning (RFC 3261 §20.43) of this code and text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """How the sound flows from now on, seen from here."""

    codec: str  # "PCMU", "PCMA", "G722", "L16"
    payload_type: int  # that we send
    rate: int  # Hz, of the samples
    clock_rate: int  # Hz, of the RTP timestamps: 8000 also for G722 (RFC 3551 §4.5.2)
    ptime_ms: int  # of what we send: 20, or 10 where the other side takes no more
    remote: tuple[str, int]  # host "" where it gave a name: learnt from where its packets come
    rtcp: tuple[str, int]
    receive: tuple[Format, ...]  # what may come in, by our payload types
    telephone_event: int | None = None  # payload type that we send
    event_clock_rate: int = 8000
    comfort_noise: int | None = None
    direction: Direction = "sendrecv"  # what we do
    rtcp_mux: bool = False
    crypto: Keys | None = None

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")

    @property
    def held(self) -> bool:
        """The other side does not listen."""
        return not self.sends

    @property
    def name(self) -> str:
        """As people write it: PCMU, G722, L16/16000."""
        return f"{self.codec}/{self.rate}" if self.codec == "L16" else self.codec


def answer(
    offer: Description,
    *,
    host: str,
    port: int,
    codecs: Sequence[str],
    srtp: Encryption,
    previous: Description | None = None,
    direction: Direction = "sendrecv",
) -> tuple[Agreed, Description]:
    """Our answer to `offer`, with the sound to `host`:`port`; `codecs` (names), the best liked first.

    `previous`: what we described last in this dialog. `direction`: what we would do if the offer allows it all.
    Raises Unacceptable.
    """
    chosen, keys = _chosen(offer, codecs, srtp, previous)
    media = offer.media[chosen]
    formats = _agreed_formats(media, codecs, previous)
    theirs = _direction_of(offer, media)
    ours = _both(direction, _mirrored(theirs))
    mux = media.attribute("rtcp-mux") is not None
    described = _described(
        port, media.protocol, formats, ours, (*_crypto_lines(keys), *((("rtcp-mux", ""),) if mux else ()))
    )
    refused = [_refused(line) for line in offer.media]
    reply = _session(host, (*refused[:chosen], described, *refused[chosen + 1 :]), previous)
    return _agreement(offer, media, formats, formats, ours, keys, host=host, mux=mux), reply


def offer(
    *,
    host: str,
    port: int,
    codecs: Sequence[str],
    srtp: Encryption = "off",
    previous: Description | None = None,
    direction: Direction = "sendrecv",
) -> Description:
    """An offer of ours. With `previous` (what we described last in this dialog) its formats and keys are offered again,
    since the meaning of a payload type must not change within a session (RFC 3264 §8.3.2)."""
    before = _audio_of(previous)
    if before is None:
        formats = wanted(codecs)
        protocol = "RTP/SAVP" if srtp == "required" else "RTP/AVP"
        keys = [new_key(tag, suite) for tag, suite in enumerate(SUITES, 1)] if srtp == "required" else []
    else:
        formats, protocol, keys = formats_of(before), before.protocol, list(_keys(before))
    extra: tuple[Attribute, ...] = (*(("crypto", str(key)) for key in keys), ("rtcp-mux", ""))
    ours = _described(port, protocol, formats, direction, extra)
    if previous is None or before is None:
        return _session(host, (ours,), previous)
    lines = tuple(ours if line is before else _refused(line) for line in previous.media)
    return _session(host, lines, previous)


def agreed(ours: Description, theirs: Description) -> Agreed:
    """What their answer to our offer comes to. Raises Unacceptable."""
    media = next((line for line in theirs.media if line.kind == "audio" and line.port), None)
    mine = _audio_of(ours)
    if media is None or mine is None:
        raise Unacceptable(304, "the answer takes no audio")
    if media.protocol not in _PROTOCOLS or _PROTOCOLS[media.protocol] != _PROTOCOLS[mine.protocol]:
        raise Unacceptable(302, f"the answer is {media.protocol}, the offer was {mine.protocol}")
    formats = _in_both(formats_of(media), formats_of(mine))
    if not any(known.is_audio for known in formats):
        raise Unacceptable(305, "the answer has none of the codecs offered")
    keys = _answered_keys(mine, media)
    direction = _both(_direction_of(ours, mine), _mirrored(_direction_of(theirs, media)))
    mux = mine.attribute("rtcp-mux") is not None and media.attribute("rtcp-mux") is not None
    return _agreement(
        theirs, media, formats, formats_of(mine), direction, keys, host=ours.address_of(mine) or ours.address, mux=mux
    )


# --- which line, which formats


def _chosen(
    offer: Description, codecs: Sequence[str], srtp: Encryption, previous: Description | None
) -> tuple[int, Keys | None]:
    """The number of the m= line to take, the encrypted ones first, and the keys that go with it."""
    complaint = Unacceptable(304, "there is no audio in the offer")
    takes: list[tuple[int, Keys | None]] = []
    for number, media in enumerate(offer.media):
        if media.kind != "audio" or not media.port:
            continue
        try:
            takes.append((number, _acceptable(media, codecs, srtp, previous)))
        except Unacceptable as exc:
            complaint = exc
    if not takes:
        raise complaint
    return next((take for take in takes if take[1] is not None), takes[0])


def _acceptable(media: Media, codecs: Sequence[str], srtp: Encryption, previous: Description | None) -> Keys | None:
    encrypted = _PROTOCOLS.get(media.protocol)
    if encrypted is None:
        raise Unacceptable(302, f"{media.protocol} is not spoken here, RTP/AVP and RTP/SAVP are")
    if encrypted and srtp == "off":
        raise Unacceptable(302, "encrypted sound is switched off here")
    keys = _keys_for(media, srtp, previous)
    if keys is None and (encrypted or srtp == "required"):
        raise Unacceptable(302, f"encrypted sound needs an a=crypto line of {' or '.join(SUITES)}")
    if not any(known.name in codecs for known in formats_of(media) if known.is_audio):
        raise Unacceptable(305, f"no codec of {', '.join(codecs)} is offered")
    return keys


def _agreed_formats(media: Media, codecs: Sequence[str], previous: Description | None) -> tuple[Format, ...]:
    """The codec that is liked best, wideband first among equals; the codec of before if it is offered still."""
    offered = formats_of(media)
    audio = [known for known in offered if known.is_audio and known.name in codecs]
    best = min(audio, key=lambda known: (codecs.index(known.name), -known.rate))
    before = next((known for known in formats_of(_audio_of(previous)) if known.is_audio), None)
    if before is not None:
        best = next((known for known in audio if known.same_as(before)), best)
    return _with_companions(best, offered)


def _with_companions(codec: Format, offered: Sequence[Format]) -> tuple[Format, ...]:
    events = [known for known in offered if known.name == "TELEPHONE-EVENT"]
    # The event's clock is the codec's (RFC 4733 §2.1); who has no such type at least means its digits.
    event = next((known for known in events if known.clock_rate == codec.clock_rate), events[0] if events else None)
    noise = next((known for known in offered if known.name == "CN" and known.clock_rate == codec.clock_rate), None)
    return tuple(known for known in (codec, event, noise) if known is not None)


def _in_both(theirs: Sequence[Format], ours: Sequence[Format]) -> tuple[Format, ...]:
    return tuple(known for known in theirs if any(known.same_as(mine) for mine in ours))


def _audio_of(description: Description | None) -> Media | None:
    lines = description.media if description is not None else ()
    return next((line for line in lines if line.kind == "audio" and line.port), None)


# --- encryption


def _keys(media: Media) -> Iterator[Key]:
    return (key for line in media.all("crypto") if (key := parse_key(line)) is not None)


def _keys_for(media: Media, srtp: Encryption, previous: Description | None) -> Keys | None:
    """Their first key that we can use, and one of ours for it: the one of before, else a new one."""
    theirs = next(iter(_keys(media)), None)
    if theirs is None or srtp == "off":
        return None
    before = _audio_of(previous)
    kept = next((key for key in _keys(before) if key.suite == theirs.suite), None) if before is not None else None
    ours = replace(kept, tag=theirs.tag) if kept is not None else new_key(theirs.tag, theirs.suite)
    return Keys(ours, theirs)


def _crypto_lines(keys: Keys | None) -> tuple[Attribute, ...]:
    return (("crypto", str(keys.ours)),) if keys is not None else ()


def _answered_keys(mine: Media, theirs: Media) -> Keys | None:
    if not _PROTOCOLS[mine.protocol]:
        return None
    key = next(iter(_keys(theirs)), None)
    ours = next((known for known in _keys(mine) if key and (known.tag, known.suite) == (key.tag, key.suite)), None)
    if key is None or ours is None:
        raise Unacceptable(302, "the answer has no key for an a=crypto line of the offer")
    return Keys(ours, key)


# --- direction


def _direction_of(description: Description, media: Media) -> Direction:
    """What the describing side does; an address of nowhere is the old way of saying: send me nothing."""
    found: Direction = "sendrecv"
    for attributes in (description.attributes, media.attributes):
        for name, _ in attributes:
            found = _DIRECTIONS.get(name, found)
    return _both(found, "sendonly") if description.address_of(media) in _NOWHERE else found


def _mirrored(theirs: Direction) -> Direction:
    if theirs == "sendonly":
        return "recvonly"
    return "sendonly" if theirs == "recvonly" else theirs


def _both(one: Direction, other: Direction) -> Direction:
    sends = {one, other} <= {"sendrecv", "sendonly"}
    receives = {one, other} <= {"sendrecv", "recvonly"}
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


# --- what comes of it


def _agreement(
    description: Description,
    media: Media,
    formats: tuple[Format, ...],
    receive: tuple[Format, ...],
    direction: Direction,
    keys: Keys | None,
    *,
    host: str,
    mux: bool,
) -> Agreed:
    codec = next(known for known in formats if known.is_audio)
    event, noise = (
        next((known for known in _with_companions(codec, formats)[1:] if known.name == name), None)
        for name in ("TELEPHONE-EVENT", "CN")
    )
    remote = _remote(description.address_of(media), media.port, host)
    return Agreed(
        codec=codec.name,
        payload_type=codec.payload_type,
        rate=codec.rate,
        clock_rate=codec.clock_rate,
        ptime_ms=10 if _milliseconds(media.attribute("maxptime")) < PTIME_MS else PTIME_MS,
        remote=remote,
        rtcp=_rtcp(media, remote, mux=mux),
        receive=receive,
        telephone_event=event.payload_type if event else None,
        event_clock_rate=event.clock_rate if event else 8000,
        comfort_noise=noise.payload_type if noise else None,
        direction=direction,
        rtcp_mux=mux,
        crypto=keys,
    )


def _remote(address: str, port: int, host: str) -> tuple[str, int]:
    if not address:
        raise Unacceptable(301, "no address for the sound is given (c=)")
    if address in _NOWHERE or not is_address(address):
        return "", port  # a name is not looked up: that would take time, and its packets tell
    if is_address(host) and (":" in host) != (":" in address):
        raise Unacceptable(301, f"{address} can't be reached from {host}")
    return address, port


def _rtcp(media: Media, remote: tuple[str, int], *, mux: bool) -> tuple[str, int]:
    if mux:
        return remote
    words = (media.attribute("rtcp") or "").split()
    port = int(words[0]) if words and words[0].isascii() and words[0].isdigit() and len(words[0]) < 6 else 0
    if not 0 < port <= 65535:
        return remote[0], min(remote[1] + 1, 65535)
    host = words[3] if len(words) == 4 and is_address(words[3]) and (":" in words[3]) == (":" in remote[0]) else ""
    return host or remote[0], port


def _milliseconds(text: str | None) -> float:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else 1000.0


def _described(
    port: int, protocol: str, formats: Sequence[Format], direction: Direction, extra: tuple[Attribute, ...]
) -> Media:
    lines: list[Attribute] = []
    for known in formats:
        lines.append(("rtpmap", known.rtpmap))
        if known.name == "TELEPHONE-EVENT":
            lines.append(("fmtp", f"{known.payload_type} 0-15"))
    return Media(
        kind="audio",
        port=port,
        protocol=protocol,
        formats=tuple(str(known.payload_type) for known in formats),
        attributes=(*lines, ("ptime", str(PTIME_MS)), (direction, ""), *extra),
    )


def _refused(media: Media) -> Media:
    return Media(kind=media.kind, port=0, protocol=media.protocol, formats=media.formats[:1])


def _session(host: str, media: tuple[Media, ...], previous: Description | None) -> Description:
    """With an o= of its own; on further ones the version grows if anything has changed (RFC 3264 §8)."""
    if previous is None:
        number = secrets.randbits(62)  # some read it as a signed number
        return Description(session_id=number, version=number, address=host, connection=host, media=media)
    fresh = replace(previous, address=host, connection=host, attributes=(), media=media)
    return fresh if fresh == previous else replace(fresh, version=previous.version + 1)
