"""Small real images for tests: shapes of every colour, quick to draw and unlike one another."""

import csv
import random
from pathlib import Path

from PIL import Image, ImageDraw


def draw_marks(
    folder: Path, count: int, *, first: int = 0, size: int = 48, validation: int = 0
) -> Path:
    """`count` PNGs, numbered from `first`, and their labels.csv; pairs share a group, thirds share a Vienna code."""
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "id", "vienna", "group", "split", "title"])
        for i in range(first, first + count):
            path = f"images/{i:04d}.png"
            _mark(i, size).save(folder / path)
            codes = ";".join([f"{3 + i % 3:02d}.{1 + i % 4:02d}", "26.01"][: 1 + i % 2])
            split = "validation" if i >= first + count - validation else "train"
            table.writerow([path, f"m{i}", codes, f"g{i // 2}", split, f"mark {i}"])
    return folder


def _mark(number: int, size: int) -> Image.Image:
    """A few coloured shapes on white, decided by the number."""
    dice = random.Random(number)
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        left, top = dice.randrange(size // 2), dice.randrange(size // 2)
        box = (left, top, left + dice.randrange(8, size // 2), top + dice.randrange(8, size // 2))
        colour = tuple(dice.randrange(200) for _ in range(3))
        dice.choice([draw.ellipse, draw.rectangle])(box, fill=colour)
    return image
