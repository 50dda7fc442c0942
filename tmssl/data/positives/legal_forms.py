"""Legal forms of companies, such as GmbH and Ltd, which the text of a mark has or lacks by chance.

The table lists the usual abbreviations of ISO 20275 (Entity Legal Forms) in the countries whose offices register
most marks, spelled like any text of a mark: capitals and accents do not matter. A form that is also a word or a
usual ending, such as spa or ad, is written with its dots, and counts only in a text that has them too: S.p.A.
"""

import csv
import functools
from importlib.resources import files


@functools.cache
def legal_forms(place: str) -> tuple[str, ...]:
    """The forms that stand `behind` or `before` a name, or at either end without a space (`glued`)."""
    table = files("tmssl.data").joinpath("tables/legal_forms.csv")
    with table.open(encoding="utf-8") as file:
        return tuple(row["form"] for row in csv.DictReader(file) if row["place"] == place)
