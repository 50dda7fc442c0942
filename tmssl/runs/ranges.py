"""The ranges of the numbers in our files; one beyond them is damage, or another program's."""

from typing import Annotated

from msgspec import Meta

MOST_COUNT = 1 << 53  # beyond it, whole numbers are no longer exact in a double
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)]
"""a number of steps, marks or epochs"""
AboveZero = Annotated[int, Meta(ge=1, le=MOST_COUNT)]
EpochsDone = Annotated[float, Meta(ge=0, le=1e9)]
"""epochs done, a fraction"""
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]
Share = Annotated[float, Meta(ge=0, le=1)]
UnixTime = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""seconds, to the end of the year 9999"""
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal"""
