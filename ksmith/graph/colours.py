"""The colours of drawings of a graph: what changed has its own, and where things stand has others.

In one page of an update and the picture of its graph no colour means two things: those below are
never among those that `palette` gives, nor near them. Distances are those of Oklab (Ottosson
2020, "A perceptual color space for image processing"), in which 0.02 is a difference that is
just seen.
"""

import math

# By hop; farther ones like the last. Lighter and lighter, for who sees no red or no green.
CHANGED = ("#a81c2e", "#d97200", "#e0c030")
OPEN, REST = "#7b5aa6", "#c3c9d0"  # changed, without one answer; not touched
MEANT = (*CHANGED, OPEN, REST)

HUES = (255.0, 150.0, 345.0, 200.0)  # degrees: blue, green, magenta, teal; far from MEANT
MIDDLE, SPAN, STEP = 0.56, 0.44, 0.2  # lightness: of all, of all shades at most, of the next
CHROMA = 0.14  # at most; as much as a screen can show

# From linear RGB to cones, and from their cube roots to lightness and two colour axes.
_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_AXES = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_ROOTS = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_LINEAR = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)
Three = tuple[float, float, float]


def palette(columns: int, rows: int) -> list[list[str]]:
    """Return a colour for each of `rows` in each of `columns`: a hue a column, darker to lighter.

    Of one column the rows have hues in turn, which are easier to tell apart than shades.
    """
    if columns == 1:
        flat = _grid(min(rows, len(HUES)), -(-rows // len(HUES)))
        return [[flat[i % len(HUES)][i // len(HUES)] for i in range(rows)]]
    # More columns than hues: the next ones have the hues again, in shades of their own.
    times = -(-columns // len(HUES))
    grid = _grid(min(columns, len(HUES)), rows * times)
    return [grid[c % len(HUES)][c // len(HUES) :: times][:rows] for c in range(columns)]


def _grid(columns: int, rows: int) -> list[list[str]]:
    span = min(SPAN, STEP * (rows - 1))
    step = span / max(rows - 1, 1)
    shades = [MIDDLE - span / 2 + step * i for i in range(rows)]
    return [[_colour(shade, hue) for shade in shades] for hue in HUES[:columns]]


def _colour(lightness: float, hue: float) -> str:
    """Return the strongest colour of that lightness and hue, `CHROMA` at most."""
    low, high = 0.0, CHROMA
    for _ in range(20):
        middle = (low + high) / 2
        shown = all(0 <= value <= 1 for value in _rgb(lightness, middle, hue))
        low, high = (middle, high) if shown else (low, middle)
    return "#" + "".join(f"{round(255 * _encoded(v)):02x}" for v in _rgb(lightness, low, hue))


def _rgb(lightness: float, chroma: float, hue: float) -> Three:
    turn = math.radians(hue)
    lab = (lightness, chroma * math.cos(turn), chroma * math.sin(turn))
    a, b, c = _times(_ROOTS, lab)
    return _times(_LINEAR, (a**3, b**3, c**3))


def distance(one: str, other: str) -> float:
    """Return how far two colours are apart, as the eye sees it."""
    return math.dist(oklab(one), oklab(other))


def oklab(colour: str) -> Three:
    """Return lightness, green to red, and blue to yellow, of `#rrggbb`."""
    red, green, blue = (_decoded(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    a, b, c = _times(_CONES, (red, green, blue))
    return _times(_AXES, (math.cbrt(a), math.cbrt(b), math.cbrt(c)))


def _times(matrix: tuple[Three, Three, Three], vector: Three) -> Three:
    first, second, third = (sum(map(float.__mul__, row, vector)) for row in matrix)
    return first, second, third


def _decoded(value: float) -> float:
    """Return the light of one channel of sRGB, 0 to 1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _encoded(value: float) -> float:
    value = min(max(value, 0.0), 1.0)
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
