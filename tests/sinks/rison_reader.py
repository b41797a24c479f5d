"""Reads Rison, for tests of what is written; as its grammar says, with nothing of the writer's."""

from typing import Any

_ENDS = " '!:(),*@$"


class Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def read(self) -> Any:
        value = self._value()
        assert self.at == len(self.text), self.text[self.at :]
        return value

    def _take(self, sign: str) -> None:
        assert self.text[self.at] == sign, (self.text, self.at)
        self.at += 1

    def _value(self) -> Any:
        match self.text[self.at]:
            case "(":
                return self._object()
            case "'":
                return self._quoted()
            case "!":
                self.at += 1
                return self._marked()
        return self._bare()

    def _marked(self) -> Any:
        sign = self.text[self.at]
        self.at += 1
        if sign != "(":
            return {"n": None, "t": True, "f": False}[sign]
        items: list[Any] = []
        while self.text[self.at] != ")":
            if items:
                self._take(",")
            items.append(self._value())
        self.at += 1
        return items

    def _object(self) -> dict[str, Any]:
        self._take("(")
        found: dict[str, Any] = {}
        while self.text[self.at] != ")":
            if found:
                self._take(",")
            key = self._value()
            self._take(":")
            found[key] = self._value()
        self.at += 1
        return found

    def _quoted(self) -> str:
        self._take("'")
        signs = []
        while self.text[self.at] != "'":
            if self.text[self.at] == "!":
                self.at += 1
                assert self.text[self.at] in "!'"
            signs.append(self.text[self.at])
            self.at += 1
        self.at += 1
        return "".join(signs)

    def _bare(self) -> Any:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _ENDS:
            self.at += 1
        word = self.text[start : self.at]
        assert word
        return int(word) if word[0] in "-0123456789" else word


def read(text: str) -> Any:
    return Reader(text).read()
