"""Curves as PNG files, for reports that leave the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from tmssl.files import atomic_path
from tmssl.text import safe

if TYPE_CHECKING:
    from tui.charts.pictures import Picture

_INCHES = (8.0, 4.0)
_DPI = 120
_POINTS = 2000  # buckets; what lies between them would not be seen


def save_picture(picture: "Picture", path: Path, across: str) -> None:
    """Write a picture of curves as a PNG of 960 x 480 pixels.

    Args:
        picture: what to draw.
        path: the file, replaced if it is there.
        across: name of the horizontal axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from tui.charts.raster import ordered, thinned

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for line in picture.lines:
        axes.plot(
            *thinned(*ordered(line.x, line.y), _POINTS),
            ":" if line.dotted else "-",
            color=line.colour,
            label=safe(line.name),
            linewidth=1.2,
        )
    for place in picture.boundaries:
        axes.axvline(place, color="magenta", linewidth=0.8)
    if picture.log:
        axes.set_yscale("log")
    axes.set_title(safe(picture.title))
    axes.set_xlabel(across)
    axes.grid(alpha=0.3)
    if picture.lines:
        axes.legend(loc="best", fontsize="small")
    with atomic_path(path) as fresh:
        figure.savefig(fresh, format="png")
