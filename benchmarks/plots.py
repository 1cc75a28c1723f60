"""Plots as SVG, written by hand: a plotting library would be the largest requirement of all."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

COLORS = ("#4c4c4c", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00")  # told apart without red and green, too
FONT = "font-family='system-ui, sans-serif' font-size='12'"
WIDTH = 760


class Canvas:
    """An image of some height, and what was drawn on it."""

    def __init__(self, height: int, title: str) -> None:
        self.height = height
        self.parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' "
            f"role='img' aria-label='{escape(title, quote=True)}'>",
            f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        ]
        self.text(12, 20, title, weight="bold")

    def text(self, x: float, y: float, content: str, *, anchor: str = "start", weight: str = "normal") -> None:
        self.parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-weight='{weight}' text-anchor='{anchor}' fill='#222'>"
            f"{escape(content)}</text>"
        )

    def bar(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self.parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 1):.1f}' height='{height:.1f}' fill='{color}'/>"
        )

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float = 2) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='{width}'/>")

    def dot(self, x: float, y: float, color: str) -> None:
        self.parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{color}'/>")

    def legend(self, names: Sequence[str], y: float) -> None:
        x = 12.0
        for name, color in zip(names, COLORS, strict=False):
            self.bar(x, y - 10, 12, 12, color)
            self.text(x + 17, y, name)
            x += 34 + 7.0 * len(name)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*self.parts, "</svg>"]) + "\n")


def bars(path: Path, title: str, groups: Mapping[str, Mapping[str, float]], *, unit: str) -> None:
    """Horizontal bars on a logarithmic scale, a group for each row, a bar for each column."""
    names = list(next(iter(groups.values())))
    left, top, thickness = 170, 58, 14
    of_group = thickness * len(names) + 14
    canvas = Canvas(top + of_group * len(groups) + 8, title)
    canvas.legend(names, 42)
    values = [value for group in groups.values() for value in group.values()]
    lowest = 10 ** math.floor(math.log10(min(values)))
    per_decade = (WIDTH - left - 90) / (math.log10(max(values)) - math.log10(lowest))
    y = float(top)
    for group, cells in groups.items():
        canvas.text(left - 8, y + of_group / 2 - 4, group, anchor="end")
        for name, color in zip(names, COLORS, strict=False):
            width = (math.log10(cells[name]) - math.log10(lowest)) * per_decade
            canvas.bar(left, y, width, thickness - 2, color)
            canvas.text(left + width + 5, y + thickness - 3, f"{shortened(cells[name])} {unit}")
            y += thickness
        y += 14
    canvas.save(path)


def lines(
    path: Path, title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, x_name: str, y_name: str
) -> None:
    """Lines over a logarithmic x axis; y starts at 0."""
    left, right, top, bottom, height = 70, 24, 80, 44, 376
    canvas = Canvas(height, title)
    canvas.legend(list(series), 42)
    xs = sorted({x for points in series.values() for x, _ in points})
    y_max = max(y for points in series.values() for _, y in points) * 1.08

    def x_at(x: float) -> float:
        span = math.log10(xs[-1]) - math.log10(xs[0]) or 1.0
        return left + (math.log10(x) - math.log10(xs[0])) / span * (WIDTH - left - right)

    def y_at(y: float) -> float:
        return height - bottom - y / y_max * (height - top - bottom)

    for step in range(5):
        y = y_max * step / 4
        canvas.line([(left, y_at(y)), (WIDTH - right, y_at(y))], "#dddddd", 1)
        canvas.text(left - 6, y_at(y) + 4, shortened(y), anchor="end")
    for x in xs:
        canvas.text(x_at(x), height - bottom + 18, f"{x:,.0f}", anchor="middle")
    canvas.text(WIDTH - right, height - 8, x_name, anchor="end")
    canvas.text(12, 58, y_name)
    for points, color in zip(series.values(), COLORS, strict=False):
        placed = [(x_at(x), y_at(y)) for x, y in points]
        canvas.line(placed, color)
        for x, y in placed:
            canvas.dot(x, y, color)
    canvas.save(path)


def shortened(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
