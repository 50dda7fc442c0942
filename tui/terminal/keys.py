"""Keys, mouse and pastes from what a terminal sends; nothing that it sends ends the monitor."""

import codecs
from collections.abc import Iterable, Iterator

from textual._parser import ParseError
from textual._xterm_parser import XTermParser  # what Textual's own driver uses
from textual.events import AppBlur, AppFocus, InputEvent, Key, Paste
from textual.message import Message

_SENT = (InputEvent, Paste, AppFocus, AppBlur)
"""what a person does; answers to questions are nothing of that, as nothing is asked"""
_BROKEN = (ParseError, ValueError, ArithmeticError, LookupError)
"""what Textual's parser raises at a sequence that no terminal means, such as the key 99999999"""


class KeyParser:
    """A parser that goes on after bytes that are no UTF-8 and after sequences that mean nothing.

    Old mouse reports beyond column 95, a paste in Latin-1 and 8-bit meta keys hold such bytes; a slow link
    or another program cuts and mixes sequences. Textual's parser is dead once it has raised.
    """

    def __init__(self, debug: bool = False) -> None:
        self._debug = debug
        self._parser = XTermParser(debug)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, sent: bytes) -> Iterator[Message]:
        """The events in what was sent; what is not whole yet waits."""
        text = self._decode(sent)
        if text:  # to the parser, no text is the end
            yield from self._events(self._parser.feed(text))

    def tick(self) -> Iterator[Message]:
        """The events that a pause makes whole, such as a lone escape."""
        yield from self._events(self._parser.tick())

    def _events(self, found: Iterable[Message]) -> Iterator[Message]:
        try:
            yield from (
                event for event in found if isinstance(event, _SENT) and not _is_surrogate(event)
            )
        except _BROKEN:
            self._parser = XTermParser(self._debug)


def _is_surrogate(event: Message) -> bool:
    """Whether an event is a key of half a character, which no file name or terminal takes."""
    return isinstance(event, Key) and "\ud800" <= (event.character or "") <= "\udfff"
