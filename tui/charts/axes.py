"""Round limits, ticks and short labels of axes; they change seldom while a curve grows."""

import math

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def round_step(span: float, count: int) -> float:
    """The tick interval, 1, 2, 2.5 or 5 times a power of ten, that divides a span into at most `count` parts."""
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(step for step in _STEPS if step * power >= rough * (1 - 1e-9))


def round_limits(low: float, high: float, parts: int = 20) -> tuple[float, float]:
    """Round limits around a range of values, never empty; they change seldom while the range grows.

    Each side gains at most one of `parts`; a limit does not cross 0.
    """
    if high - low < 1e-9 * max(1e-30, abs(high), abs(low)):
        pad = abs(high) * 0.1 or 1.0
        return low - pad, high + 1.04 * pad  # off the middle, where rounding would flicker
    step = round_step(high - low, parts)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round values between two limits, which divide the range into at most `count` parts."""
    step = round_step(high - low, count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Exponents of the ticks between two exponents of ten: whole powers, or 1, 2 and 5 where these are few."""
    powers = list(range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))
    if len(powers) > max(2, count):
        powers = powers[:: -(-len(powers) // max(2, count))]
    if len(powers) >= 3:
        return [float(power) for power in powers]
    between = [
        power + math.log10(digit)
        for power in range(math.floor(low), math.ceil(high) + 1)
        for digit in (1.0, 2.0, 5.0)
    ]
    inside = [tick for tick in between if low - 1e-9 <= tick <= high + 1e-9]
    if len(inside) >= 2:
        return inside[: max(2, count)] if len(inside) > count + 1 else inside
    return [low, high]


def label(value: float, span: float) -> str:
    """A tick's label, with the digits that the axis span needs; large and tiny values are shortened."""
    if abs(value) < span * 1e-9:
        return "0"
    size = max(abs(value), span)
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= power:
            unit = 1e3 if letter == "k" else power
            if size >= 1e13:
                return f"{value:.1e}"
            return f"{value / unit:.4g}{letter}"
    if size < 1e-3:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")
    digits = max(0, 2 - math.floor(math.log10(span)))
    text = f"{value:.{min(6, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def hours_label(hours: float, span: float) -> str:
    """A tick's label on the time axis: `40s`, `5m`, `2h`, `2h30`, `3d`."""
    seconds = round(hours * 3600)
    if span >= 72:
        return f"{hours / 24:.3g}d"
    if span * 3600 < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if span < 2:
        return f"{minutes}m" if seconds % 60 == 0 else f"{minutes}m{seconds % 60:02d}"
    return f"{minutes // 60}h" + (f"{minutes % 60:02d}" if minutes % 60 else "")
