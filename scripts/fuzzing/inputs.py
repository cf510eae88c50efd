"""Messages that nobody in his right mind would send: known ones damaged, ones made from the grammar, and noise."""

import random
import re
from collections.abc import Sequence

BITS = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"\t",
        b"\r\n ",
        b'"',
        b"\\",
        b'\\"',
        b"<",
        b">",
        b";",
        b",",
        b":",
    ),
    *(
        b"@",
        b"?",
        b"=",
        b"/",
        b"%",
        b"%00",
        b"%0d%0a",
        b"[",
        b"]",
        b"[::1]",
        b"*",
        b"-1",
        b"0",
        b"99999999999999999999",
    ),
    *(b"\xff", b"\xc3", b"\xf0\x9f\x98\x80", b"sip:", b"tel:", b"SIP/2.0", b"z9hG4bK", b";tag=", b"Content-Length: "),
    *(
        b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n",
        b";rport",
        b"{{",
        b"a" * 300,
        b"(" * 50,
        b";" * 50,
        b"<" * 50,
        b'"' * 50,
    ),
)
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "INFO", "UPDATE", "REFER", "NOTIFY", "X", "in%vite")
HEADERS = (
    *(
        "Via",
        "v",
        "From",
        "f",
        "To",
        "t",
        "Call-ID",
        "i",
        "CSeq",
        "Contact",
        "m",
        "Max-Forwards",
        "Route",
        "Record-Route",
    ),
    *(
        "Content-Length",
        "l",
        "Content-Type",
        "c",
        "Require",
        "Supported",
        "k",
        "Reason",
        "Authorization",
        "Accept",
        "X-A",
    ),
)
HOSTS = (
    "h",
    "127.0.0.1",
    "[::1]",
    "a.b-c.example",
    "[",
    "-",
    "a_b",
    "127.0.0.1:5060",
    "h:0",
    "h:99999",
    "[::1]:1",
    "é",
)
USERS = ("100", "+4930", "a%40b", "%", "a:b", "a;b=c", "", "null%00", '"', "x" * 200)
PARAMS = (
    ";tag=1",
    ";tag",
    ";lr",
    ";branch=z9hG4bK7",
    ";rport",
    ';a="b;c,d"',
    ';a="',
    ";",
    ";=",
    ";a=b=c",
    ";a=b;a=c",
    "",
)
LARGEST = 65_535
_LENGTH = re.compile(rb"(?<=\r\n)(?:Content-Length|l)\s*:[^\r]*\r\n", re.IGNORECASE)
_IN_ORDER = {"via": "SIP/2.0/UDP h;branch=z9hG4bK1", "from": "<sip:a@h>;tag=1", "to": "<sip:b@h>", "call-id": "1@h"}


class Inputs:
    """Everything follows from the seed."""

    def __init__(self, seed: int, corpus: Sequence[bytes]) -> None:
        self.random = random.Random(seed)
        self._corpus = corpus

    def damaged(self) -> bytes:
        """A known message with one to eight wounds, few as a rule: what is torn to pieces is refused at its first line.
        For the same reason most lose the header that would tell how long they had been."""
        data = bytearray(self.random.choice(self._corpus))
        if self.random.random() < 0.7:
            data = bytearray(_LENGTH.sub(b"", bytes(data), count=1))
        for _ in range(self.random.choice((1, 1, 1, 1, 2, 2, 3, 8))):
            self._wound(data)
        return bytes(data[:LARGEST])

    def noise(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 1, 12, 40, 160, 200, 1400)))

    def made(self) -> bytes:
        """By the grammar, more or less."""
        pick = self.random.choice
        method = pick(METHODS)
        if self.random.random() < 0.2:
            lines = [f"SIP/2.0 {self.random.choice((100, 180, 200, 302, 486, 603, 99, 700, 1000))} x"]
        else:
            lines = [f"{method} {self._uri()} SIP/2.0"]
        names = [*("Via", "From", "To", "Call-ID", "CSeq"), *(pick(HEADERS) for _ in range(self.random.randint(0, 12)))]
        self.random.shuffle(names)
        colons = (":", ": ", ": ", ": ", ": ", ": ", " : ", ": ", ":", ": ", ": ", ": ", ": ", " ", "")
        lines += [f"{name}{pick(colons)}{self._value(name, method)}" for name in names]
        return "\r\n".join([*lines, "", pick(("", "v=0", "x" * 50))]).encode("utf-8", "surrogateescape")

    def any(self) -> bytes:
        chance = self.random.random()
        return self.damaged() if chance < 0.6 else self.made() if chance < 0.9 else self.noise()

    def _wound(self, data: bytearray) -> None:
        rng = self.random
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 4, 16, 64, 256)))
        kind = rng.choices(range(7), (6, 6, 4, 3, 4, 1, 1))[0]
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = rng.choice(BITS)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * rng.choice((1, 2, 8, 64))
        elif kind == 4:
            other = rng.choice(self._corpus)
            start = rng.randrange(len(other) + 1)
            data[at:end] = other[start : start + rng.choice((8, 64, 512))]
        elif kind == 5:
            data[at:at] = rng.choice(BITS) * rng.choice((2, 30, 500))
        else:
            del data[at:]
        del data[LARGEST:]

    def _uri(self) -> str:
        pick = self.random.choice
        scheme, at = pick(("sip:", "sip:", "sips:", "tel:", "x:", "")), pick(("@", "@", "@", "", "@@"))
        return f"{scheme}{pick(USERS)}{at}{pick(HOSTS)}{pick(PARAMS)}{pick(('', '', '', '?a=b', '?', ' '))}"

    def _value(self, name: str, method: str) -> str:
        pick = self.random.choice
        if self.random.random() < 0.8 and name.lower() in (*_IN_ORDER, "cseq"):
            return _IN_ORDER.get(name.lower(), f"1 {method}")
        match name.lower():
            case "via" | "v":
                return f"SIP/2.0/{pick(('UDP', 'TCP', 'X Y', ''))} {pick(HOSTS)}{pick(PARAMS)}{pick(PARAMS)}"
            case "cseq":
                return f"{pick(('1', '4294967295', '99999999999', '-1', 'x'))} {pick((method, 'BYE', ''))}"
            case "content-length" | "l" | "max-forwards":
                return pick(("0", "3", "70", "-1", "999999", "x", ""))
            case "call-id" | "i" | "x-a":
                return pick(("1@h", "a b", "", "\udcff", "x" * 400))
        display = pick(("", '"a" ', '"a\\" ', "a b ", '"', "é "))
        brackets = pick(("<{}>", "{}", "<{}", "{}>"))
        return f"{display}{brackets.format(self._uri())}{pick(PARAMS)}{pick(('', '', ', <sip:a@h>', ','))}"
