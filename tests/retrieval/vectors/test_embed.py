from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.phash import hash_vectors, l2_normalize
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.leave_one_out import search_rows
from tmssl.retrieval.vectors.embed import (
    break_ties,
    embed_pack,
    embed_ranges,
    hash_pack,
    untrained_encoder,
)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    marks = draw_marks(tmp_path_factory.mktemp("m"), 40)
    return build_pack(read_catalogue(marks), tmp_path_factory.mktemp("p") / "pack", pack_size(32))


def test_embeddings_are_unit_rows_in_the_order_of_the_pack(pack: Pack) -> None:
    encoder = untrained_encoder("test_efficientnet", 3)
    reports: list[tuple[int, int]] = []
    vectors = embed_pack(
        encoder,
        pack,
        image_size=32,
        device=torch.device("cpu"),
        batch_size=16,
        progress=lambda done, total: reports.append((done, total)),
    )
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    whole = embed_pack(encoder, pack, image_size=32, device=torch.device("cpu"), batch_size=40)
    assert np.allclose(vectors, whole, atol=1e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == 40
    assert reports == [(16, 40), (32, 40), (40, 40)]


def test_a_mark_has_the_same_vector_to_the_bits_beside_any_other_marks(pack: Pack) -> None:
    encoder = untrained_encoder("test_efficientnet", 3)

    ranges = [range(40), range(5, 6), range(33, 40), range(8, 40)]
    found = embed_ranges(encoder, pack, ranges, image_size=32, device=torch.device("cpu"))
    whole, *others = found
    for rows, vectors in zip(ranges[1:], others, strict=True):
        assert np.array_equal(vectors, whole[rows.start : rows.stop])


@pytest.mark.gpu
@pytest.mark.timeout(300)
def test_a_gpu_embeds_in_bfloat16_within_a_thousandth_of_float32(tmp_path: Path) -> None:
    marks = read_catalogue(draw_marks(tmp_path / "marks", 40, size=256))
    pack = build_pack(marks, tmp_path / "pack", pack_size(224))
    encoder = untrained_encoder("efficientnet_b0", 0)
    plain = embed_pack(encoder, pack, image_size=224, device=torch.device("cpu"), batch_size=20)
    seen: list[torch.dtype] = []
    hook = encoder.get_submodule("conv_stem").register_forward_hook(
        lambda module, given, made: seen.append(made.dtype)
    )
    quick = embed_pack(encoder, pack, image_size=224, device=torch.device("cuda"), batch_size=20)
    hook.remove()
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert quick.dtype == np.float32
    assert not np.array_equal(plain, quick)
    assert (plain * quick).sum(1).min() >= 0.999


def test_an_untrained_encoder_is_decided_by_its_seed_and_disturbs_no_other() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = untrained_encoder("test_efficientnet", 3).state_dict()
    assert torch.equal(torch.rand(1), expected)
    again = untrained_encoder("test_efficientnet", 3).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    other = untrained_encoder("test_efficientnet", 4).state_dict()
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_rows_become_unit_rows_and_zeros_stay() -> None:
    rows = l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


def test_hashes_are_64_signs_that_tell_marks_apart(pack: Pack) -> None:
    bits = hash_pack(pack, batch_size=7)
    assert bits.shape == (40, 64)
    assert set(np.unique(np.abs(bits))) == {np.float32(0.125)}
    assert len(np.unique(bits, axis=0)) > 30
    assert np.array_equal(bits, hash_pack(pack, batch_size=40))


def test_a_hash_ignores_brightness_and_contrast_and_half_of_it_flips_in_a_negative(
    pack: Pack,
) -> None:
    grey = torch.from_numpy(pack.read(range(40))).float().mean(3)
    bits = hash_vectors(grey)
    cosine = (bits * hash_vectors(0.5 * grey + 30)).sum(1)
    assert (cosine >= 0.9).all()
    negative = (bits * hash_vectors(255 - grey)).sum(1)
    assert (negative < 0).all()


def test_broken_ties_keep_the_order_of_bits_and_never_depend_on_the_length_of_the_list() -> None:
    signs = np.random.default_rng(0).random((400, 64)) < 0.5
    signs[:, :58] = signs[0, :58]  # few bits differ, so ties are everywhere
    vectors = np.where(signs, 0.125, -0.125).astype(np.float32)
    index, own = build_index(break_ties(vectors)), np.arange(400)
    longer, shorter = search_rows(index, own, 60)[1], search_rows(index, own, 10)[1]
    assert np.array_equal(longer[:, :10], shorter)
    exact = np.take_along_axis(vectors @ vectors.T, longer, 1)
    assert (np.diff(exact) <= 1e-6).all()
    assert np.array_equal(break_ties(vectors), break_ties(vectors))


def test_a_hash_agrees_with_a_transform_written_out() -> None:
    image = np.random.default_rng(0).random((32, 32)) * 255
    spectrum = [
        sum(
            image[y, x] * np.cos(np.pi * v * (y + 0.5) / 32) * np.cos(np.pi * u * (x + 0.5) / 32)
            for y in range(32)
            for x in range(32)
        )
        for v in range(8)
        for u in range(8)
    ]
    expected = np.where(np.array(spectrum) > np.median(spectrum[1:]), 0.125, -0.125)
    found = hash_vectors(torch.from_numpy(image[None]).float())
    assert np.allclose(found[0], expected)
