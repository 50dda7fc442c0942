"""How a new collection of Qdrant keeps its vectors."""

import dataclasses

from tmssl.errors import InputError
from tmssl.text import safe

QUANTIZATIONS = ("int8", "binary")


@dataclasses.dataclass(frozen=True)
class Storage:
    """What a new collection is told; a collection that is there keeps its own."""

    half: bool = False
    """keep half precision"""
    quantization: str = ""
    """small copies in memory: one of `QUANTIZATIONS`, or none"""
    shards: int = 0
    """parts that the server may lay on several machines; 0 is the server's own choice"""

    def __post_init__(self) -> None:
        """Refuse a quantization that there is not.

        Raises:
            InputError: it is none.
        """
        if self.quantization not in ("", *QUANTIZATIONS):
            raise InputError(
                f"--quantization is '{safe(self.quantization, 60)}'; give one of {', '.join(QUANTIZATIONS)}"
            )
