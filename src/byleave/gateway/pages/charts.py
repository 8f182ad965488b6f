"""Drawings: bars by day as an SVG of its own, without a script. What they show stands in a table beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pygal
from lxml import etree
from pygal.style import Style
from starlette.responses import Response

CSS = """
svg { font-family: system-ui, sans-serif; }
text { fill: #4a5a5c; font-size: 11px; }
.axis.y text { text-anchor: end; }
.axis.x text { text-anchor: middle; }
.axis .line, .axis .guide.line { stroke: #d9d5cb; stroke-width: 1; fill: none; }
.background, .plot_background { fill: none; }
.series rect, .bar rect { stroke: none; }
.serie-0 rect { fill: #0b6b66; } .serie-1 rect { fill: #b7791f; } .serie-2 rect { fill: #8a94a0; }
.tooltip, .text-overlay, .legends { display: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #a9b8b6; }
  .axis .line, .axis .guide.line { stroke: #33403f; }
  .serie-0 rect { fill: #6fd0c2; } .serie-1 rect { fill: #e3b15a; } .serie-2 rect { fill: #7b8790; }
}
"""


def bars(
    series: Sequence[Sequence[int]], days: Sequence[date], *, narrow: bool = False, stacked: bool = False
) -> bytes:
    """Up to three series over `days`, on each other or side by side; `narrow` for a phone."""
    tops = [sum(s[i] for s in series) if stacked else max(s[i] for s in series) for i in range(len(days))]
    drawing = (pygal.StackedBar if stacked else pygal.Bar)(
        js=(),
        css=(),
        width=420 if narrow else 860,
        height=240,
        style=Style(),
        show_legend=False,
        no_prefix=True,
        margin=8,
        spacing=2 if narrow else 4,
        x_labels_major_every=max(1, len(days) // (3 if narrow else 6)),
        show_minor_x_labels=False,
        x_label_rotation=0,
        rounded_bars=2,
        truncate_label=-1,
        value_formatter=lambda v: f"{v:,.0f}".replace(",", "\u202f"),
        include_x_axis=True,
        range=(0, max(4, *tops)),
    )
    drawing.x_labels = [f"{day.day}.{day.month}." for day in days]
    for i, values in enumerate(series):
        drawing.add(str(i), list(values))
    root = drawing.render_tree()
    for node in list(root.iter(etree.Comment, "{*}script", "{*}style", "{*}desc", "{*}title")):
        node.getparent().remove(node)
    style = etree.SubElement(root, "style")
    style.text = CSS
    root.insert(0, style)
    drawn: bytes = etree.tostring(root)
    return drawn


def response(drawn: bytes) -> Response:
    """A drawing as a response: its own style is all that may act in it."""
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    }
    return Response(drawn, 200, headers, "image/svg+xml")
