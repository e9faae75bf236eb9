"""A backup sheet to print: plain text, or a page of HTML with a QR code. The code that opens it is on neither."""

import html
import io
import time

import segno

from app.client.backup import Printed

_COLUMNS = 6


def sheet_text(printed: Printed) -> str:
    """Return the sheet as plain text: what it is, the 72 words by number, and the text of the QR code."""
    rows = ["  ".join(f"{place:2} {word:8}" for place, word in row).rstrip() for row in _rows(printed.sheet.words)]
    return "\n".join([*_heading(printed), "", *rows, "", printed.sheet.machine_text, "", *_advice(printed), ""])


def sheet_html(printed: Printed, *, made_at: int) -> str:
    """Return the sheet as one page of HTML that refers to nothing outside. `made_at` is in Unix seconds."""
    picture = io.BytesIO()
    segno.make(printed.sheet.machine_text, error="m", micro=False).save(
        picture, kind="svg", xmldecl=False, svgns=True, scale=4, border=4, title="the sheet, to be scanned"
    )
    cells = "".join(
        "<tr>" + "".join(f"<td><small>{place}</small> {word}</td>" for place, word in row) + "</tr>"
        for row in _rows(printed.sheet.words)
    )
    title, *lines = (html.escape(line) for line in _heading(printed))
    advice = "".join(f"<li>{html.escape(line)}</li>" for line in _advice(printed))
    day = time.strftime("%Y-%m-%d", time.gmtime(made_at))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{'<br>'.join(lines)}<br>made on {day} (UTC)</p>"
        f"<div>{picture.getvalue().decode('utf-8')}</div>"
        f"<table><caption>The same in words, by number, row by row</caption>{cells}</table>"
        f"<p><code>{printed.sheet.machine_text}</code></p><ul>{advice}</ul></body></html>\n"
    )


_STYLE = (
    "@page{size:A4;margin:18mm}body{font:11pt/1.4 serif;max-width:44em;margin:1em auto}h1{font-size:15pt}"
    "table{border-collapse:collapse;width:100%}td{border:1px solid #999;padding:2pt 5pt;font-family:monospace}"
    "caption{text-align:left}small{color:#555}code{font-size:8pt;overflow-wrap:anywhere}"
)


def _heading(printed: Printed) -> list[str]:
    return [
        f"Backup sheet of a judge's share, epoch {printed.sheet.epoch}",
        f"judge {printed.name} ({printed.judge})",
        f"panel {printed.panel_id.hex()}",
    ]


def _advice(printed: Printed) -> list[str]:
    return [
        "Keep this sheet in one place and its code (six groups of four) in another. Each alone is worth nothing.",
        f"To use it: muniment panel restore {printed.panel_id.hex()}",
        f"To test it without losing anything: muniment panel restore {printed.panel_id.hex()} --check",
        f"It is void as soon as the panel is in a later epoch than {printed.sheet.epoch}: destroy sheet and code then.",
    ]


def _rows(words: tuple[str, ...]) -> list[list[tuple[int, str]]]:
    numbered = list(enumerate(words, 1))
    return [numbered[start : start + _COLUMNS] for start in range(0, len(numbered), _COLUMNS)]
