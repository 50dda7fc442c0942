"""The distributions that views are drawn from: a recipe for each view, two recipes in a set."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ViewRecipe:
    """The distribution of one view; probabilities 0 to 1, angles in degrees."""

    scale: tuple[float, float] = (1.0, 1.0)
    """share of the image's area that is kept"""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """aspect ratio of the crop"""
    rotation: float = 0.0
    """largest rotation either way"""
    flip: float = 0.0
    """probability of a mirror image, which makes lettering unreadable"""
    turn: float = 0.0
    """probability of a turn by one, two or three quarters, before the crop"""
    jitter: float = 0.0
    """probability of brightness, contrast, saturation and hue changes"""
    strength: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1)
    """their largest size"""
    grey: float = 0.0
    """probability of losing all colour"""
    invert: float = 0.0
    """probability of a negative, as marks are registered both ways"""
    solarize: float = 0.0
    """probability that everything above one half is inverted"""
    blur: float = 0.0
    """probability of a Gaussian blur"""
    sigma: tuple[float, float] = (0.1, 2.0)
    """standard deviation of the blur, pixels at 224; smaller views scale it down"""
    silhouette: float = 0.0
    """probability that all ink is black; of this and the next four at most one happens"""
    outline: float = 0.0
    """probability that only the edges are left"""
    threshold: float = 0.0
    """probability of black and white by a threshold"""
    recolour: float = 0.0
    """probability that each of four tones gets another colour"""
    pieces: float = 0.0
    """probability that each connected component gets another colour"""
    thicker: float = 0.0
    """probability of thicker strokes"""
    thinner: float = 0.0
    """probability of thinner strokes, when they are not thicker"""
    wordless: float = 0.0
    """probability of losing the lowest line, where it looks like words under a figure"""


_PUBLISHED = ViewRecipe(
    scale=(0.2, 1.0), flip=0.5, jitter=0.8, grey=0.2, blur=1.0, strength=(0.4, 0.4, 0.2, 0.1)
)
# Strong colour changes, since one mark is registered in many colours; large crops, since a mark is
# meant to be seen whole. Measured in tests/bench/recipes.py.
_COLOUR = ViewRecipe(
    scale=(0.6, 1.0),
    rotation=8.0,
    jitter=0.9,
    strength=(0.5, 0.5, 0.8, 0.5),
    grey=0.4,
    invert=0.4,
    blur=0.2,
)
# Redrawn marks as well; chosen by the ablation in tests/bench/ablation.md.
_LOGO = dataclasses.replace(
    _COLOUR,
    silhouette=0.12,
    outline=0.12,
    threshold=0.12,
    recolour=0.12,
    pieces=0.12,
    thicker=0.12,
    thinner=0.12,
    wordless=0.12,
)
# Marks that are to be found mirrored and turned too; what it costs is in tests/bench/trained.md.
_TURNED = dataclasses.replace(_LOGO, flip=0.5, turn=0.5)
_MILD = ViewRecipe(scale=(0.6, 1.0), jitter=0.5, strength=(0.2, 0.2, 0.1, 0.05), grey=0.1)

VIEW_SETS: dict[str, tuple[ViewRecipe, ViewRecipe]] = {
    # MoCo v3's asymmetry: the first view is always blurred, the second hardly ever but solarized.
    "published": (_PUBLISHED, dataclasses.replace(_PUBLISHED, blur=0.1, solarize=0.2)),
    "logo": (_LOGO, _LOGO),
    # For short runs: stylings keep the loss near chance for longer.
    "colour": (_COLOUR, _COLOUR),
    "turned": (_TURNED, _TURNED),
    "mild": (_MILD, _MILD),
}
