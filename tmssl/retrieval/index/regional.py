"""Vectors of the regions of marks, kept beside the index of the whole marks, and the search by both.

A mark's region takes a byte a feature, and a bit: the signs of all its features. Signs are compared with all
marks first, as Hamming distances, which costs about as much as the scan of the whole marks in half precision;
the best of them are ranked by the cosines of the bytes.
"""

import dataclasses
import functools
import mmap
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from tmssl.data.lettering.store import FORMAT as LETTERING
from tmssl.errors import InputError
from tmssl.files import atomic_path, cannot_write, open_plain
from tmssl.retrieval.index.digests import check_digest, forget_digest, record_digest
from tmssl.retrieval.index.exact import drawn_rows
from tmssl.text import safe
from tmssl.types import Indices, Vectors

Bytes = npt.NDArray[np.int8]
Bits = npt.NDArray[np.uint8]

VERSION = 1
"""raise it when regions are chosen, cut or embedded differently"""
_SAMPLE = 256  # whole marks
_PART_PENALTY, _PARTS_PENALTY = 2.4, 14.0  # in standard deviations of the cosines of whole marks
_WORD = 64  # features whose signs are compared together


class Penalties(NamedTuple):
    """What a similarity counts less for being one of many."""

    part: float
    """of a part and a whole"""
    parts: float
    """of two parts"""


@dataclasses.dataclass(frozen=True)
class RegionalIndex:
    """Every mark of a gallery as several vectors."""

    whole: faiss.Index
    """of the whole marks, exact, f features"""
    bits: Bits
    """signs of every feature, (regions, marks, b), those of the whole marks first"""
    codes: Bytes
    """the other regions, (marks, regions - 1, f), of any norm; zeros where a mark has fewer"""
    approximate: faiss.Index | None = None
    """of every region of every mark, those of a mark in a row; gives candidates in place of the signs"""
    lettered: bool = False
    """whether lines of words were taken from the lettering that was read in the marks too"""

    @functools.cached_property
    def penalties(self) -> "Penalties":
        """What the similarities of parts count less here, by the spread of cosines of 256 whole marks."""
        rows = drawn_rows(self.whole, _SAMPLE)
        if len(rows) < 3:
            return Penalties(0.0, 0.0)
        vectors = self.whole.reconstruct_batch(rows)
        cosines = (vectors @ vectors.T)[np.triu_indices(len(rows), 1)]
        spread = float(cosines.std())
        return Penalties(_PART_PENALTY * spread, _PARTS_PENALTY * spread)

    @property
    def regions(self) -> int:
        """Vectors of each mark, the whole one among them."""
        return len(self.bits)


def sign_bits(vectors: npt.NDArray[np.float32] | Bytes) -> Bits:
    """Which features are above zero, (..., f) as bits (..., b), filled up to whole words of 64."""
    positive = vectors > 0
    missing = -vectors.shape[-1] % _WORD
    padded = np.pad(positive, [(0, 0)] * (positive.ndim - 1) + [(0, missing)])
    return np.packbits(padded, axis=-1, bitorder="little")


def as_bytes(vectors: Vectors) -> Bytes:
    """Vectors (..., f) in a byte a feature, each stretched so that its largest feature is 127."""
    largest = np.abs(vectors).max(-1, keepdims=True)
    codes: Bytes = np.rint(vectors * (127 / np.maximum(largest, 1e-30))).astype(np.int8)
    return codes


class RegionalFiles(NamedTuple):
    """The files of the regions' vectors; they are removed with the index of the whole marks."""

    bits: Path
    codes: Path
    parts: Path
    """folder of the parts that they are joined from"""
    regions: int
    """vectors of each mark, the whole one among them"""
    lettered: bool
    """whether lines of words were taken from the lettering that was read in the marks too"""

    def exist(self) -> bool:
        """Whether both are there."""
        return self.bits.exists() and self.codes.exists()


def regions_name(regions: int, *, lettered: bool) -> str:
    """What tells the vectors of so many regions, cut by the lettering or without it, from others of a mark."""
    return f"regions{VERSION}x{regions}" + (f"-lettering{LETTERING}" if lettered else "")


def regional_files(whole: Path, regions: int, *, lettered: bool = False) -> RegionalFiles:
    """The files beside the index of the whole marks, for so many vectors of each mark."""
    stem = f"{whole.stem}-{regions_name(regions, lettered=lettered)}"
    return RegionalFiles(
        bits=whole.with_name(f"{stem}-bits.ann"),
        codes=whole.with_name(f"{stem}-codes.ann"),
        parts=whole.with_name(f"{stem}.parts"),
        regions=regions,
        lettered=lettered,
    )


def wanted_files(whole: Path, regions: int, *, lettering_read: bool) -> RegionalFiles:
    """The files that a search is to use, which may have to be made.

    Those of regions that were cut before the lettering was read are used as they are: to embed all of them
    again takes long, and is not what reading the lettering asks for.

    Args:
        whole: file of the index of the whole marks.
        regions: vectors of each mark.
        lettering_read: whether the lettering of every mark was.
    """
    cut_by_it = regional_files(whole, regions, lettered=True)
    cut_without = regional_files(whole, regions)
    wanted = lettering_read and (cut_by_it.exist() or not cut_without.exist())
    return cut_by_it if wanted else cut_without


def kept_regions(whole: Path) -> list[RegionalFiles]:
    """The files that are beside the index of the whole marks."""
    found = []
    for file in sorted(whole.parent.glob(f"{whole.stem}-regions*-bits.ann")):
        name = re.search(r"x(\d{1,4})(-lettering\d+)?-bits$", file.stem)
        if name:
            files = regional_files(whole, int(name[1]), lettered=bool(name[2]))
            found += [files] if files.bits == file and files.exist() else []
    return found


def write_regional(
    files: RegionalFiles,
    whole: faiss.Index,
    codes: Iterable[tuple[Indices, Bytes]],
) -> None:
    """Write the vectors of regions; each file appears complete or not at all, that of the bits last.

    Args:
        files: where.
        whole: index of the whole marks.
        codes: rows (m,) and the `as_bytes` of their vectors (m, regions - 1, f), in order.

    Raises:
        InputError: the disk is full.
    """
    forget_digest(files.bits)
    files.bits.unlink(missing_ok=True)
    try:
        with atomic_path(files.bits) as fresh_bits, atomic_path(files.codes) as fresh_codes:
            with fresh_bits.open("xb") as bits, fresh_codes.open("xb") as file:
                for rows, of_rows in codes:
                    file.write(of_rows.tobytes())
                    full = whole.reconstruct_n(int(rows[0]), len(rows))
                    signs = np.concatenate([sign_bits(full)[:, None], sign_bits(of_rows)], axis=1)
                    for region, of_region in enumerate(signs.swapaxes(0, 1)):
                        bits.seek((region * whole.ntotal + int(rows[0])) * signs.shape[2])
                        bits.write(of_region.tobytes())
            record_digest(files.bits, fresh_bits)
    except OSError as error:
        raise cannot_write(files.codes, error, "make room on the disk") from error


def open_regional(files: RegionalFiles, whole: faiss.Index) -> RegionalIndex:
    """The kept vectors of regions, mapped into memory.

    The signs are compared with their digest here; the bytes, of which a search reads few, are compared
    with the signs when they are read.

    Args:
        files: where they are.
        whole: index of the whole marks.

    Raises:
        InputError: a file is missing, damaged, a link, or of other marks.
    """
    width = -(-whole.d // _WORD) * _WORD // 8
    bits = _mapped(files.bits, (files.regions, whole.ntotal, width), np.uint8)
    check_digest(files.bits)
    codes = _mapped(files.codes, (whole.ntotal, files.regions - 1, whole.d), np.int8)
    return RegionalIndex(whole, bits, codes, lettered=files.lettered)


def _mapped(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> npt.NDArray[Any]:
    """A file as an array of known shape, to be read only."""
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise InputError(f"cannot read {safe(path)} ({safe(error, 100)}); remove it") from error
    if len(content) != np.prod(shape):
        raise InputError(f"{safe(path)} is damaged or of other marks; remove it and try again")
    return np.frombuffer(content, kind).reshape(shape)
