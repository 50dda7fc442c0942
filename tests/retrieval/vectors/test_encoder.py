"""A loaded encoder embeds files and PIL images as the index holds the same marks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.tiny_run import tiny_run
from tmssl.errors import InputError
from tmssl.retrieval.search.gallery import embed_query, open_gallery
from tmssl.retrieval.search.logos import logo_from_image, read_logo
from tmssl.retrieval.search.search import find_matches
from tmssl.retrieval.vectors.encoder import embed_images, load_encoder


def test_files_and_pictures_are_embedded_as_the_marks_of_the_pack(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    files = sorted((tmp_path / "marks" / "images").glob("*.png"))
    vectors = embed_images(load_encoder(run.checkpoints / "best.pt", "cpu"), files)
    assert vectors.dtype == np.float32
    assert len(vectors) == 40
    gallery = open_gallery(run, device="cpu")
    held = gallery.index.reconstruct_n(0, 40)
    rows = [gallery.marks.row_of(f"images/{path.name}") for path in files]
    assert np.allclose(vectors, held[rows], atol=2e-3)
    pictures = [Image.open(path) for path in files[:3]]
    encoder = load_encoder(run.checkpoints / "best.pt", "cpu")
    assert np.allclose(embed_images(encoder, pictures), vectors[:3], atol=1e-5)
    logo = logo_from_image(pictures[2], gallery.facts.size)
    assert np.array_equal(logo.pixels, read_logo(files[2], gallery.facts.size).pixels)
    assert np.allclose(embed_query(gallery, logo.pixels), vectors[2:3], atol=1e-3)
    (best, *_) = find_matches(gallery, logo, 5).matches
    assert (best.path, best.rank, best.own) == (f"images/{files[2].name}", 1, False)


def test_what_cannot_be_embedded_is_told(tmp_path: Path) -> None:
    encoder = load_encoder(tiny_run(tmp_path).checkpoints / "best.pt", "cpu")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read .*bad\.png: not an image"):
        embed_images(encoder, [tmp_path / "bad.png"])
    with pytest.raises(InputError, match="no image to embed"):
        embed_images(encoder, [])
