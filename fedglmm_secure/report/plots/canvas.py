"""What the plots share: their look, and how a figure becomes an image inside a page."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, BLUE, GREY, PALE = "#1a1a1a", "#1f4e79", "#595959", "#d9d9d9"
"""Text and lines; what is estimated; what is less important (7:1 on white); grids."""

WIDTH = 7.1
"""Inches: the text of an A4 page."""

_LOOK: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small, sharp and searchable
    "svg.hashsalt": "fedglmm",  # the same result gives the same file
}


@dataclass(frozen=True)
class Plot:
    """An image as a data URI, its width and height in CSS pixels, what it shows in words, and its caption."""

    source: str
    width: int
    height: int
    alt: str
    caption: str


def plotted(draw: Callable[[Figure], None], height: float, alt: str, caption: str) -> Plot:
    """The figure that ``draw`` draws, ``height`` inches high."""
    content = io.BytesIO()
    with mpl.rc_context(_LOOK), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a glyph that this font lacks, the reader's may have
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return Plot(f"data:image/svg+xml;base64,{data}", round(96 * WIDTH), round(96 * height), alt, caption)


def rows_axis(axes: Axes, labels: list[str]) -> None:
    """One row a label, the first on top, without a line beside them."""
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
