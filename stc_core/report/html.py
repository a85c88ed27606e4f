"""The parts of one self-contained HTML file as strings, plotly.js included.

All text is escaped here. The file sends no request to a server; its content security
policy (CSP) forbids any.
"""

import html
import json
import re
from collections.abc import Iterable, Sequence
from string import Template
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from stc_core.figures.style import FAINT, PALETTE

_PNG_SCALE = 2


class Section(NamedTuple):
    """A heading and the HTML under it."""

    title: str
    body: str


def page(title: str, intro: str, sections: Sequence[Section]) -> str:
    """The HTML of the whole file.

    `intro` is HTML already. Sections with an empty body are left out.
    """
    shown = [section for section in sections if section.body]
    links = "".join(
        f'<a href="#s{place}">{html.escape(section.title)}</a>'
        for place, section in enumerate(shown)
    )
    bodies = "".join(
        f'<section id="s{place}"><h2>{html.escape(section.title)}</h2>'
        f"{section.body}</section>"
        for place, section in enumerate(shown)
    )
    return _PAGE.substitute(
        title=html.escape(title),
        intro=intro,
        links=links,
        bodies=bodies,
        style=_STYLE,
        plotly=get_plotlyjs().replace("</script", "<\\/script"),
        script=_SCRIPT,
    )


def html_chart(figure: go.Figure, name: str, *, alt: str, note: str = "") -> str:
    """The HTML of `figure`, which is drawn when the file opens.

    Its only button saves it as NAME.png. The text follows the light or dark theme of
    the reader. WebGL points become SVG points, which can be printed. `alt` describes
    the figure for readers who cannot see it.
    """
    drawn = go.Figure(figure)
    drawn.update_layout(template=_TEMPLATE, autosize=True)
    drawn.layout.paper_bgcolor = drawn.layout.plot_bgcolor = "rgba(0, 0, 0, 0)"
    plain = drawn.to_json()
    assert plain is not None
    content = json.loads(plain)
    for trace in content["data"]:
        trace["type"] = "scatter" if trace["type"] == "scattergl" else trace["type"]
    data = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    height = int(content["layout"].get("height", 400))
    caption = f"<figcaption>{_marked_up(note)}</figcaption>" if note else ""
    return (
        f'<figure><div class="chart" role="img" data-name="{html.escape(name)}" '
        f'aria-label="{html.escape(alt)}" style="height:{height}px"></div>'
        f'<script type="application/json">{_script_safe(data)}</script>{caption}'
        "</figure>"
    )


def _script_safe(data: str) -> str:
    """The JSON `data` without characters that could end a script element."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028")


def html_table(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> str:
    """The HTML of a table with a button that saves it as NAME.csv.

    Line breaks inside a cell are kept.
    """
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="table"><table data-name="{html.escape(name)}"><thead><tr>{head}'
        f"</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    number = isinstance(value, int | float) or _NUMBER.fullmatch(str(value)) is not None
    kind = ' class="number"' if number else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"


_NUMBER = re.compile(r"[+\-−]?[\d,.]+( %| to [\d.]+ %)?")


def facts_table(pairs: Iterable[tuple[str, str, str]]) -> str:
    """The HTML of large numbers in a row, each with its name and a small note."""
    return "<dl>{}</dl>".format(
        "".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            f"<small>{html.escape(note)}</small></div>"
            for name, value, note in pairs
        )
    )


def bullets(lines: Iterable[str]) -> str:
    """The HTML of a list with one item for each line; empty if there is no line."""
    items = "".join(f"<li>{_marked_up(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def paragraph(line: str) -> str:
    """The HTML of one paragraph."""
    return f"<p>{_marked_up(line)}</p>"


def _marked_up(line: str) -> str:
    """`line` as escaped HTML; **strong** and `code` are the only marks."""
    safe = html.escape(line)
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", safe)


_AXIS = {
    "gridcolor": FAINT,
    "linecolor": FAINT,
    "zerolinecolor": FAINT,
    "automargin": True,
    "title": {"font": {"size": 13}, "standoff": 12},
}
_TEMPLATE = go.layout.Template(
    layout={
        "colorway": list(PALETTE),
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)
_PAGE = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>$title</title><link rel="icon" href="data:,"><style>$style</style></head>
<body><main><header><h1>$title</h1>$intro
<nav aria-label="Sections">$links</nav></header>
$bodies</main><script>$plotly</script><script>$script</script></body></html>
"""
)
_STYLE = """
:root{--back:#fff;--ink:#1b2430;--soft:#5b6775;--line:#dde3ea;--tint:#f4f6f9;
--link:#0072b2}
@media (prefers-color-scheme:dark){:root{--back:#11161d;--ink:#e6eaf0;--soft:#9aa7b6;
--line:#303a47;--tint:#1b222c;--link:#56b4e9}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:68rem;margin:0 auto;padding:2rem 1.5rem 5rem}
h1{font-size:2rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.4rem;margin:3rem 0 .75rem;padding-top:.75rem;
border-top:1px solid var(--line)}
h3{font-size:1.08rem;margin:1.75rem 0 .5rem}
p,li{max-width:48rem}p{margin:.5rem 0}li{margin:.25rem 0}
a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1.25rem 0 0}
code{background:var(--tint);border-radius:.25rem;padding:.08em .3em;font-size:.9em}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;
margin:1.25rem 0}
dl>div{border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}
dt{color:var(--soft);font-size:.86rem}dd{margin:0;font-size:1.45rem;font-weight:600}
small,figcaption{color:var(--soft);font-size:.86rem}
figure{margin:1rem 0 1.5rem}.chart{width:100%}
figcaption{max-width:56rem;margin-top:.25rem}
.table{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;color:var(--soft);font-weight:600;white-space:nowrap}
td,th{padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
td{white-space:pre-line}
td:first-child{min-width:8.5rem}
td.number{white-space:nowrap;font-variant-numeric:tabular-nums}
button{font:inherit;font-size:.82rem;color:var(--soft);background:none;cursor:pointer;
border:1px solid var(--line);border-radius:.4rem;padding:.1rem .55rem;margin-top:.4rem}
button:hover,button:focus-visible{color:var(--ink);border-color:var(--ink)}
@media (min-width:60rem){.two{display:grid;grid-template-columns:1fr 1fr;gap:0 2rem}
.two>*{min-width:0}}
@media print{:root{--back:#fff;--ink:#000;--soft:#444;--line:#bbb;--tint:#f4f6f9}
nav,button{display:none}main{padding:0;max-width:none}
section{break-inside:auto}figure,tr,dl{break-inside:avoid}h2{break-after:avoid}}
"""
_SCRIPT = (
    """
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = [...document.querySelectorAll(".chart")];
const ink = (night) => (night ? "#c3ccd7" : "#3a4654");
for (const one of charts) {
  const {data, layout} = JSON.parse(one.nextElementSibling.textContent);
  layout.font = {...layout.font, color: ink(dark.matches)};
  Plotly.newPlot(one, data, layout, {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage"]],
    toImageButtonOptions: {format: "png", scale: SCALE, filename: one.dataset.name}});
}
const paint = (night, size) => charts.forEach((one) =>
  Plotly.relayout(one, {"font.color": ink(night), ...size}));
dark.addEventListener("change", () => paint(dark.matches, {}));
addEventListener("beforeprint", () => paint(false, {width: 690}));
addEventListener("afterprint", () =>
  paint(dark.matches, {width: null, autosize: true}));
// An apostrophe before a formula, which a spreadsheet would run; numbers stay.
const formula = /^[=+\\-@\\t\\r]/, number = /^[+-]?[\\d.,]+(e[+-]?\\d+)? ?%?$/i;
const safe = (text) => formula.test(text) && !number.test(text) ? "'" + text : text;
const quoted = (cell) => '"' + safe(cell.textContent).replaceAll('"', '""') + '"';
for (const table of document.querySelectorAll("table")) {
  const button = document.createElement("button");
  button.textContent = "Save as CSV";
  button.title = "Cells that begin like a formula get an apostrophe in front.";
  button.addEventListener("click", () => {
    const rows = [...table.rows].map((row) => [...row.cells].map(quoted).join(","));
    const link = document.createElement("a");
    const file = new Blob([rows.join("\\r\\n")], {type: "text/csv"});
    link.href = URL.createObjectURL(file);
    link.download = table.dataset.name + ".csv";
    link.click();
  });
  table.parentElement.append(button);
}
"""
).replace("SCALE", str(_PNG_SCALE))
