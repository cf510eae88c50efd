"""Asterisk's side of AGI: takes a command line, answers as res_agi.c of 22.10 does. Pure.

Every answer below was read off the real Asterisk. A malformed command gets what Asterisk gives it (510, 520), so that
a daemon which passes here passes there.
"""

from collections.abc import Callable, MutableMapping

# fgets() with a buffer of this size: a longer line is read as two commands
MAX_LINE_BYTES = 2047

UNKNOWN = "510 Invalid or unknown command\n"


class AgiInterpreter:
    """One channel: `variables` are its own, `execute` runs an application and returns its result (-2: no such one).

    `applications` records what was executed.
    """

    def __init__(self, variables: MutableMapping[str, str], execute: Callable[[str, str], int] | None = None) -> None:
        self.variables = variables
        self.applications: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.hung_up = False
        self.answered = False
        self._execute = execute
        self._commands: dict[tuple[str, ...], Callable[[list[str]], str]] = {
            ("answer",): self._answer,
            ("channel", "status"): self._channel_status,
            ("exec",): self._exec,
            ("get", "full", "variable"): self._get_full_variable,
            ("get", "variable"): self._get_variable,
            ("hangup",): self._hang_up,
            ("noop",): lambda arguments: "200 result=0\n",
            ("set", "variable"): self._set_variable,
            ("verbose",): self._verbose,
        }

    def answer(self, line: str) -> str:
        """The reply to one command line (without its line feed)."""
        words = split(line)
        for length in (3, 2, 1):
            command = self._commands.get(tuple(word.lower() for word in words[:length]))
            if command is not None and len(words) >= length:
                return command(words[length:])
        return UNKNOWN

    def _answer(self, arguments: list[str]) -> str:
        if arguments:
            return usage("Answers channel if not already in answer state.")
        self.answered = True
        return "200 result=0\n"

    def _channel_status(self, arguments: list[str]) -> str:
        if len(arguments) > 1:
            return usage("Returns the status of the specified channel.")
        return "200 result=-1\n" if arguments else f"200 result={6 if self.answered else 4}\n"

    def _exec(self, arguments: list[str]) -> str:
        if not arguments:
            return usage("Executes an application with given options.")
        application, options = arguments[0], arguments[1] if len(arguments) > 1 else ""
        self.applications.append((application, options))
        return f"200 result={self._execute(application, options) if self._execute else 0}\n"

    def _get_full_variable(self, arguments: list[str]) -> str:
        if not 1 <= len(arguments) <= 2:
            return usage("Evaluates the given expression.")
        name = arguments[0].removeprefix("${").removesuffix("}")
        return f"200 result=1 ({self.variables.get(name, '')})\n"

    def _get_variable(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return usage("Returns 0 if the variable is not set.")
        value = self.variables.get(arguments[0])
        return "200 result=0\n" if value is None else f"200 result=1 ({value})\n"

    def _hang_up(self, arguments: list[str]) -> str:
        if arguments:
            return "200 result=-1\n"  # names a channel, and ours are never called so
        self.hung_up = True
        return "200 result=1\n"

    def _set_variable(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return usage("Sets a variable to the current channel.")
        self.variables[arguments[0]] = arguments[1]
        return "200 result=1\n"

    def _verbose(self, arguments: list[str]) -> str:
        if not arguments:
            return usage("Sends a message to the console.")
        self.said.append(arguments[0])
        return "200 result=1\n"


def usage(text: str) -> str:
    """The answer to a known command with wrong arguments."""
    return f"520-Invalid command syntax.  Proper usage follows:\n{text}\n520 End of proper usage.\n"


def split(line: str) -> list[str]:
    """Words as res_agi.c's parse_args cuts them: quotes join, a backslash takes the next character as it is."""
    words: list[str] = []
    word: str | None = None
    quoted = escaped = False
    for character in line:
        if escaped:
            word, escaped = (word or "") + character, False
        elif character == "\\":
            escaped = True
        elif character == '"':
            word, quoted = word or "", not quoted
        elif character in " \t" and not quoted:
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    return words if word is None else [*words, word]
