"""SQL cut into tokens, as far as it takes to find names and markers and to leave strings and comments alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>--[^\n]*|/\*.*?\*/)
      | (?P<string>[rR]?'(?:[^'\\]|\\.|'')*'|[rR]?"(?:[^"\\]|\\.|"")*")
      | (?P<name>`(?:[^`]|``)*`)
      | (?P<marker>(?<![:\w`]):[A-Za-z_]\w*|\?)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\w*)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>::|<=>|<=|>=|<>|!=|->|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """`kind` is space, comment, string, name (in backticks), marker, number, word or sign."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def identifier(self) -> str | None:
        """The name that a word or a quoted name stands for."""
        if self.kind == "name":
            return self.text[1:-1].replace("``", "`")
        return self.text if self.kind == "word" else None

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words


def tokens(sql: str) -> Iterator[Token]:
    for match in PATTERN.finditer(sql):
        yield Token(match.lastgroup or "sign", match.group(), match.start())


def significant(sql: str) -> list[Token]:
    """Without space and comments, and without the semicolon at the end."""
    found = [token for token in tokens(sql) if token.kind not in ("space", "comment")]
    while found and found[-1].text == ";":
        found.pop()
    return found


def unquoted(token: Token) -> str:
    """The value of a string token."""
    text = token.text
    if text[0] in "rR":
        return text[2:-1]
    quote, text = text[0], text[1:-1].replace(text[0] * 2, text[0])
    del quote
    escapes = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}
    return re.sub(r"\\(.)", lambda m: escapes.get(m.group(1), m.group(1)), text, flags=re.DOTALL)


def quoted(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t").replace("\0", "\\0")
    return f"'{escaped}'"


def name(*parts: str) -> str:
    """A name of some parts, in backticks."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)
