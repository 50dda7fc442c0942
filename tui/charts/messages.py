"""What the workers that draw charts tell the screen."""

from textual.message import Message

from tui.charts.draw_all import Drawing


class ChartsDrawn(Message):
    """The charts of the live screen are ready to be shown."""

    def __init__(self, drawing: Drawing | None, problem: str = "") -> None:
        super().__init__()
        self.drawing = drawing
        self.problem = problem
