"""What the terminal has of the pictures in pixels, and the sequences of kitty's graphics protocol that change it."""

import base64
import re
from collections.abc import Iterable

from tui.pictures import placeholders
from tui.pictures.pixels import PixelPictures, Placed

_CHUNK = 4096  # base64 characters of a sequence, the most that the protocol allows
_MOST = (
    placeholders.SLOTS * 3 // 4
)  # pictures that are kept at the terminal for a return to their page
_QUIET = "q=2"  # the terminal answers neither that it went well nor that it failed
GRAPHICS = re.compile(
    rf"\x1b_G(?:{_QUIET},a=T,U=1,f=100,t=d,i=\d+,c=\d+,r=\d+,m=[01];[A-Za-z0-9+/=]+"
    rf"|{_QUIET},m=[01];[A-Za-z0-9+/=]+"
    rf"|{_QUIET},a=d,d=I,i=\d+)\x1b\\"
)
"""One sequence of those that are sent: a picture and its virtual placement, the rest of it, or its deletion."""


class Graphics:
    """Pictures by slot as the terminal has them."""

    def __init__(self, pictures: PixelPictures, namespace: int) -> None:
        """The terminal has none yet; `namespace` is the highest byte of their ids."""
        self._pictures = pictures
        self._namespace = namespace
        self._sent: dict[int, Placed | None] = {}
        """by slot what was sent, the oldest first; None for what must be sent anew"""
        self._stale = False

    def forget(self) -> None:
        """Send each picture anew when it is shown next: it may be another terminal, as when tmux is attached elsewhere.

        A signal or another thread may call this, so it only leaves a note.
        """
        self._stale = True

    def before(self, frame: str) -> list[str]:
        """What must be sent before a frame of text, for the pictures in it that the terminal lacks."""
        if self._stale:
            self._stale = False
            self._sent = dict.fromkeys(self._sent)
        sequences = []
        runs = placeholders.RUN.findall(frame)
        for slot in sorted({slot for run in runs for slot in map(placeholders.slot_of, run)}):
            placed = self._pictures.placed(slot)
            if placed is not None and self._sent.get(slot) is not placed:
                if slot in self._sent:
                    sequences.append(self._deletion(slot))
                self._sent.pop(slot, None)  # so that the newest is the last
                self._sent[slot] = placed
                sequences += self._transmission(slot, placed)
        return sequences

    def after(self, visible: Iterable[int]) -> list[str]:
        """What must be sent when a frame is on the terminal, given the pictures that have cells there.

        Once none has, all are deleted; else the oldest, once there are many, since pages are turned back.
        """
        seen = set(visible)
        gone = [slot for slot in self._sent if slot not in seen]
        return self._delete(gone if not seen else gone[: max(0, len(self._sent) - _MOST)])

    def clear(self) -> list[str]:
        """What must be sent so that nothing is left."""
        return self._delete(list(self._sent))

    @property
    def empty(self) -> bool:
        """Whether the terminal has no picture."""
        return not self._sent

    def _delete(self, slots: list[int]) -> list[str]:
        for slot in slots:
            del self._sent[slot]
        return [self._deletion(slot) for slot in slots]

    def _deletion(self, slot: int) -> str:
        """The sequence that deletes a picture's placement and its data."""
        return f"\x1b_G{_QUIET},a=d,d=I,i={placeholders.picture_id(slot, self._namespace)}\x1b\\"

    def _transmission(self, slot: int, placed: Placed) -> list[str]:
        """The sequences that send a picture, to be shown where its cells are."""
        data = base64.b64encode(placed.png).decode()
        chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        picture_id = placeholders.picture_id(slot, self._namespace)
        size = f"c={placed.columns},r={placed.rows}"
        keys = [f"a=T,U=1,f=100,t=d,i={picture_id},{size},", *[""] * (len(chunks) - 1)]
        more = [*[1] * (len(chunks) - 1), 0]
        return [
            f"\x1b_G{_QUIET},{key}m={is_more};{chunk}\x1b\\"
            for key, is_more, chunk in zip(keys, more, chunks, strict=True)
        ]


def through_tmux(sequence: str) -> str:
    """A sequence as tmux passes it on to the terminal, if `allow-passthrough` is on."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
