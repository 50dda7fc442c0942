"""Colours as `#rrggbb`: how far apart they are, and other colours made from them."""

import colorsys


def parse_colour(colour: str) -> tuple[float, float, float]:
    """`#rgb` or `#rrggbb` as red, green and blue between 0 and 1."""
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))  # type: ignore[return-value]


def format_colour(rgb: tuple[float, float, float]) -> str:
    """Red, green and blue between 0 and 1 as `#rrggbb`."""
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, value))):02x}" for value in rgb)


def mix(first: str, second: str, share: float) -> str:
    """The colour that lies `share` (0 to 1) of the way from `first` to `second`."""
    pairs = zip(parse_colour(first), parse_colour(second), strict=True)
    red, green, blue = (a + (b - a) * share for a, b in pairs)
    return format_colour((red, green, blue))


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in parse_colour(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def turn_hue(colour: str, turn: float) -> str:
    """A colour with its hue turned by `turn` (0 to 1); greys stay."""
    hue, light, saturation = colorsys.rgb_to_hls(*parse_colour(colour))
    return format_colour(colorsys.hls_to_rgb((hue + turn) % 1, light, saturation))


def shade(colour: str, ink: str) -> str:
    """A colour as a shade or tint of one ink, by its perceived lightness."""
    red, green, blue = parse_colour(colour)
    grey = 0.30 * red + 0.59 * green + 0.11 * blue
    dark = mix(ink, "#000000", 0.55)
    return mix(dark, ink, grey / 0.45) if grey < 0.45 else mix(ink, "#ffffff", (grey - 0.45) / 0.55)
