"""Each operation of a view beside torchvision's functional reference in float32, on every device and type.

The bound is 1/255 on average, in float16 too; there no pixel may be further off than 3/255.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from tmssl.data.views import stylings
from tmssl.data.views.augment import MEAN, STD, augmented_view, normalize
from tmssl.data.views.colour import (
    blend,
    blur_by_matrices,
    blur_by_shifts,
    gaussian_blur,
    invert,
    jitter_colour,
    shift_hue,
    solarize,
    to_grey,
)
from tmssl.data.views.crop import crop, crop_matrices
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.data.views.segments import COLOURS, recolour_components

InterpolationMode = reference.InterpolationMode
COLOURS_OF_PIECES = torch.rand(6, COLOURS, 3, generator=torch.Generator().manual_seed(2))
PIECES = (COLOURS_OF_PIECES, COLOURS_OF_PIECES[:, 0, 0])


@dataclasses.dataclass(frozen=True)
class Kind:
    """Where and in what an operation is computed."""

    device: str
    dtype: torch.dtype

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Pixels as the operation is given them."""
        return values.to(self.device, self.dtype)

    def each(self, value: float, count: int = 6) -> torch.Tensor:
        """A strength for each image, float32 as views give them."""
        return torch.full((count,), value, device=self.device)

    def close(self, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        assert ours.dtype == self.dtype
        apart = (ours.float().cpu() - theirs).abs()
        assert float(apart.mean()) < 1 / 255
        if self.dtype == torch.float16:
            assert float(apart.max()) < 3 / 255


@pytest.fixture(
    params=[
        pytest.param(
            Kind(device, dtype),
            marks=[pytest.mark.gpu] if device == "cuda" else [],
            id=f"{device}-{dtype}".replace("torch.", ""),
        )
        for device in ("cpu", "cuda")
        for dtype in (torch.float32, torch.float16)
    ]
)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def images() -> torch.Tensor:
    """Soft colours on white, uint8 (6, 64, 64, 3)."""
    rough = torch.rand(6, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    rough[:, :, (0, -1)], rough[..., (0, -1)] = 1, 1
    smooth = torch.nn.functional.interpolate(rough, (64, 64), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().byte().permute(0, 2, 3, 1).contiguous()


def planes(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
def test_jitter_operations_equal_torchvisions(
    kind: Kind, pixels: torch.Tensor, factor: float
) -> None:
    ours, factors = kind(pixels), kind.each(factor)
    grey = to_grey(ours)
    mean = grey[:, :1].mean((1, 2, 3), keepdim=True)
    kind.close(blend(ours, None, factors), reference.adjust_brightness(pixels, factor))
    kind.close(blend(ours, mean, factors), reference.adjust_contrast(pixels, factor))
    kind.close(blend(ours, grey, factors), reference.adjust_saturation(pixels, factor))


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.07, 0.5])
def test_hue_equals_torchvisions(kind: Kind, pixels: torch.Tensor, turn: float) -> None:
    kind.close(shift_hue(kind(pixels), kind.each(turn)), reference.adjust_hue(pixels, turn))


def test_hue_is_exact_in_float32(pixels: torch.Tensor) -> None:
    ours = shift_hue(pixels, torch.full((6,), 0.3))
    assert torch.allclose(ours, reference.adjust_hue(pixels, 0.3), atol=1e-5)


def test_hue_leaves_greys_alone(kind: Kind) -> None:
    grey = kind(torch.full((1, 3, 4, 4), 0.4))
    assert torch.equal(shift_hue(grey, kind.each(0.3, 1)), grey)


def test_all_of_the_jitter_equals_torchvisions_one_after_another(
    kind: Kind, pixels: torch.Tensor
) -> None:
    expected = reference.adjust_contrast(reference.adjust_brightness(pixels, 0.8), 1.3)
    expected = reference.adjust_hue(reference.adjust_saturation(expected, 1.2), 0.08)
    found = jitter_colour(kind(pixels), *map(kind.each, (0.8, 1.3, 1.2, 0.08)))
    assert found.dtype == kind.dtype
    assert float((found.float().cpu() - expected).abs().mean()) < 1 / 255


def test_grey_solarize_and_negative_equal_torchvisions(kind: Kind, pixels: torch.Tensor) -> None:
    ours = kind(pixels)
    given = ours.float().cpu()  # what rounding lifts to one half is inverted
    kind.close(to_grey(ours), reference.rgb_to_grayscale(pixels, 3))
    kind.close(solarize(ours), reference.solarize(given, 0.5))
    kind.close(invert(ours), reference.invert(pixels))


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.5])
def test_blur_equals_torchvisions(kind: Kind, pixels: torch.Tensor, sigma: float) -> None:
    inner = (..., slice(5, -5), slice(5, -5))  # torchvision mirrors at the border
    ours = gaussian_blur(kind(pixels), kind.each(sigma), largest=2.0)
    kind.close(ours[inner], reference.gaussian_blur(pixels, [9, 9], [sigma, sigma])[inner])


@pytest.mark.parametrize("taps", [3, 9])
def test_products_of_matrices_blur_as_shifted_copies_do(taps: int) -> None:
    dice = torch.Generator().manual_seed(0)
    pixels = torch.rand(3, 3, 7, 20, generator=dice)  # narrower than the widest kernel reaches
    kernels = torch.rand(3, taps, generator=dice)
    kernels /= kernels.sum(1, keepdim=True)
    assert torch.allclose(
        blur_by_matrices(pixels, kernels), blur_by_shifts(pixels, kernels), atol=1e-6
    )


def test_blur_is_exact_in_float32(pixels: torch.Tensor) -> None:
    ours = gaussian_blur(pixels, torch.full((6,), 0.8), largest=2.0)
    theirs = reference.gaussian_blur(pixels, [9, 9], [0.8, 0.8])
    assert float((ours - theirs)[:, :, 5:-5, 5:-5].abs().max()) < 1e-5


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 64, 64), (6, 10, 40, 52), (20, 2, 44, 40)])
def test_a_crop_equals_torchvisions(
    kind: Kind, images: torch.Tensor, box: tuple[int, int, int, int], mirrored: bool
) -> None:
    top, left, height, width = box
    turned = -1 if mirrored else 1
    matrix = torch.tensor(
        [
            [turned * width / 64, 0, (2 * left + width) / 64 - 1],
            [0, height / 64, (2 * top + height) / 64 - 1],
        ]
    )
    ours = crop(images.to(kind.device), matrix.expand(6, 2, 3).to(kind.device), 48)
    theirs = reference.resized_crop(
        planes(images), top, left, height, width, [48, 48], antialias=False
    )
    kind.close(kind(ours), reference.horizontal_flip(theirs) if mirrored else theirs)


@pytest.mark.parametrize("degrees", [-8.0, 5.0, 30.0])
def test_a_rotation_equals_torchvisions(kind: Kind, images: torch.Tensor, degrees: float) -> None:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    ours = crop(images.to(kind.device), matrix.expand(6, 2, 3).to(kind.device), 64)

    def rotated(given: torch.Tensor, fill: float) -> torch.Tensor:
        return reference.rotate(
            given, degrees, interpolation=InterpolationMode.BILINEAR, fill=[fill] * 3
        )

    inside = rotated(torch.ones(6, 3, 64, 64), 0.0)
    whole = (inside < 1e-6) | (inside > 1 - 1e-6)  # torchvision takes the seam's share twice
    theirs = rotated(planes(images), 1.0)
    kind.close(torch.where(whole.to(kind.device), kind(ours), 1), torch.where(whole, theirs, 1))


def test_normalising_equals_torchvisions(kind: Kind, pixels: torch.Tensor) -> None:
    theirs = reference.normalize(pixels, list(MEAN), list(STD))
    shades = torch.tensor(STD).view(3, 1, 1)  # in pixel units again
    kind.close(kind(normalize(kind(pixels)) * shades.to(kind.device)), theirs * shades)


@pytest.mark.parametrize(
    "styling",
    [
        stylings.silhouette,
        lambda some: stylings.outline(some, 1),
        lambda some: stylings.thicken(some, 1),
        lambda some: stylings.thin(some, 1),
        lambda some: stylings.threshold(some, torch.full((6,), 0.5, device=some.device)),
        lambda some: stylings.recolour_tones(some, torch.full((6, 3, 3), 0.3, device=some.device)),
        lambda some: recolour_components(
            some, COLOURS_OF_PIECES.to(some.device), COLOURS_OF_PIECES[:, 0, 0].to(some.device)
        ),
    ],
)
def test_stylings_are_the_same_on_every_device_and_type(
    kind: Kind, images: torch.Tensor, styling: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    given = kind(planes(images))
    expected, found = styling(given.float().cpu()), styling(given)
    assert found.dtype == kind.dtype
    apart = (found.float().cpu() - expected).abs()
    # Only pixels within a rounding of a threshold may fall on its other side.
    assert float((apart > 4 / 255).float().mean()) < 0.01


@pytest.mark.parametrize("name", list(VIEW_SETS))
def test_a_view_is_the_same_on_every_device_and_type(
    kind: Kind, images: torch.Tensor, name: str
) -> None:
    # Without stylings, whose thresholds may move whole regions by a rounding.
    recipe = dataclasses.replace(
        VIEW_SETS[name][0], silhouette=0.0, outline=0.0, threshold=0.0, recolour=0.0, pieces=0.0
    )

    def view(given: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return augmented_view(
            given, np.arange(6), seed=3, epoch=1, view=0, recipe=recipe, size=48, dtype=dtype
        )

    expected = view(images, torch.float32)
    dtype = torch.bfloat16 if kind.dtype == torch.float16 else torch.float32
    found = view(images.to(kind.device), dtype)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    apart = (found.float().cpu() - expected).abs() * torch.tensor(STD).view(3, 1, 1)
    assert float(apart.mean()) < (2 if dtype == torch.bfloat16 else 1) / 255


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_making_views_never_waits_for_the_gpu(images: torch.Tensor, dtype: torch.dtype) -> None:
    given = images.cuda()
    recipe = dataclasses.replace(
        VIEW_SETS["logo"][0],
        silhouette=0.2,
        outline=0.2,
        threshold=0.2,
        recolour=0.2,
        pieces=0.2,
        thicker=0.3,
        thinner=0.3,
        wordless=0.5,
        solarize=0.3,
    )

    def views() -> None:
        for epoch in range(8):  # which draw every operation
            augmented_view(
                given,
                np.arange(6),
                seed=0,
                epoch=epoch,
                view=0,
                recipe=recipe,
                size=48,
                dtype=dtype,
            )

    views()  # the first call of an operation may load its kernel
    try:
        torch.cuda.set_sync_debug_mode("error")
        views()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_crops_turn_and_mirror_as_their_matrices_say() -> None:
    recipe = dataclasses.replace(VIEW_SETS["logo"][0], flip=1.0)
    matrices = crop_matrices(np.random.default_rng(0).random((50, 24)), recipe)
    assert (np.linalg.det(matrices[:, :, :2]) < 0).all()
