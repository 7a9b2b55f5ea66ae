"""Reading a statement word by word."""

from .engine import parse_error
from .tokens import Token, significant, unquoted


class Words:
    def __init__(self, sql: str):
        self.sql, self.tokens, self.at = sql, significant(sql), 0

    @property
    def done(self) -> bool:
        return self.at >= len(self.tokens)

    @property
    def next(self) -> Token:
        if self.done:
            raise parse_error("end of input", len(self.sql))
        return self.tokens[self.at]

    def sees(self, *words: str) -> bool:
        """Whether these words (or signs) come next."""
        ahead = self.tokens[self.at:self.at + len(words)]
        return len(ahead) == len(words) and all(token.is_word(word) or token.text == word for token, word in zip(ahead, words, strict=True))

    def takes(self, *words: str) -> bool:
        found = self.sees(*words)
        if found:
            self.at += len(words)
        return found

    def expect(self, *words: str) -> None:
        if not self.takes(*words):
            raise parse_error(f"'{self.next.text}'", self.next.start)

    def one_of(self, *words: str) -> str | None:
        return next((word for word in words if self.takes(word)), None)

    def take(self) -> Token:
        token = self.next
        self.at += 1
        return token

    def name(self) -> list[str]:
        """A name of one or more parts."""
        parts = []
        while True:
            token = self.take()
            if token.identifier is None:
                raise parse_error(f"'{token.text}'", token.start)
            parts.append(token.identifier)
            if not self.takes("."):
                return parts

    def string(self) -> str:
        token = self.take()
        if token.kind != "string":
            raise parse_error(f"'{token.text}'", token.start)
        return unquoted(token)

    def parenthesised(self) -> list[Token]:
        """What is between the parenthesis that comes next and its match."""
        self.expect("(")
        start, depth = self.at, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(self.take().text, 0)
        return self.tokens[start:self.at - 1]

    def rest(self) -> list[Token]:
        return self.tokens[self.at:]

    def end(self) -> None:
        if not self.done:
            raise parse_error(f"'{self.next.text}'", self.next.start)
