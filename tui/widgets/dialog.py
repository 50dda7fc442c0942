"""A dialog over another screen, which closes with an answer."""

from typing import Generic, TypeVar

from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None], Generic[Answer]):
    """Its answer is None when it is cancelled."""

    def close(self, answer: Answer | None) -> None:
        """Close with an answer; a second key, which may come when it is closed already, does nothing."""
        if self.is_current:
            self.dismiss(answer)

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.close(None)
