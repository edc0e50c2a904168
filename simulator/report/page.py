"""The bones of a report: one HTML page that needs no script, no network and no second file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_CSS = """
:root { color-scheme: light; --ink: #1d2a33; --muted: #62727d; --line: #dfe5e8;
  --paper: #fbfcfc; --good: #0b7a75; --bad: #a4161a; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: #fff;
  color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .35rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .5rem 0; }
.lead, figcaption, footer { color: var(--muted); }
.verdict { margin: 1.5rem 0; padding: .9rem 1.2rem; border-left: 6px solid var(--good);
  background: #eef7f6; font-size: 1.1rem; }
.verdict.bad { border-color: var(--bad); background: #fbeeee; }
.verdict.neutral { border-color: var(--muted); background: var(--paper); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.8rem, 1fr)); gap: .8rem;
  margin: 1.5rem 0; }
.card { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--paper); }
.card b { display: block; font-size: 1.4rem; line-height: 1.25; font-weight: 600;
  white-space: nowrap; }
.card span { color: var(--muted); font-size: .86rem; line-height: 1.35; display: block; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; display: block; }
figcaption { font-size: .9rem; max-width: 46rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.5rem;
  align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: 1rem 0;
  font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--muted); font-weight: 600; border-bottom: 2px solid var(--line);
  padding: .35rem .7rem .35rem 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: .35rem .7rem .35rem 0; vertical-align: top; }
th.n, td.n { text-align: right; white-space: nowrap; }
tr.miss td { color: var(--bad); }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem; overflow-x: auto; font-size: .82rem; line-height: 1.45; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: .88rem; }
@media print { body { max-width: none; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that is already safe; plain text is escaped wherever it meets a page."""

    html: str


Content = str | Markup


def page(title: str, lead: Content, body: Iterable[Markup], footer: Content) -> str:
    """The whole document."""
    parts = "\n".join(part.html for part in body)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{_safe(lead)}</p>\n{parts}\n'
        f"<footer>{_safe(footer)}</footer>\n</body>\n</html>\n"
    )


def heading(text: str) -> Markup:
    """Starts a section."""
    return Markup(f"<h2>{escape(text)}</h2>")


def paragraph(content: Content) -> Markup:
    """A paragraph of running text."""
    return Markup(f"<p>{_safe(content)}</p>")


def verdict(text: str, passed: bool | None) -> Markup:
    """The one sentence to read: good, bad, or None where nothing was asked for."""
    look = {True: "", False: " bad", None: " neutral"}[passed]
    return Markup(f'<div class="verdict{look}">{escape(text)}</div>')


def cards(figures: Sequence[tuple[str, str]]) -> Markup:
    """Key figures, each with what it counts."""
    inner = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in figures
    )
    return Markup(f'<div class="cards">{inner}</div>')


def figure(svg: str, caption: Content) -> Markup:
    """A picture and what it shows."""
    return Markup(f"<figure>{svg}<figcaption>{_safe(caption)}</figcaption></figure>")


def side_by_side(parts: Iterable[Markup]) -> Markup:
    """Parts next to each other where the page is wide enough."""
    return Markup(f'<div class="pair">{"".join(part.html for part in parts)}</div>')


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: frozenset[int] = frozenset(),
    misses: frozenset[int] = frozenset(),
) -> Markup:
    """A table; `numbers` are the columns aligned right, `misses` the rows to stand out."""

    def line(cells: Sequence[str], tag: str) -> str:
        looks = (' class="n"' if column in numbers else "" for column in range(len(cells)))
        return "".join(
            f"<{tag}{look}>{escape(cell)}</{tag}>" for look, cell in zip(looks, cells, strict=True)
        )

    miss, hit = '<tr class="miss">', "<tr>"
    body = "".join(
        f"{miss if at in misses else hit}{line(row, 'td')}</tr>" for at, row in enumerate(rows)
    )
    head = f"<thead><tr>{line(headers, 'th')}</tr></thead>"
    return Markup(f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>')


def preformatted(text: str) -> Markup:
    """Text with its line breaks kept."""
    return Markup(f"<pre>{escape(text)}</pre>")


def _safe(content: Content) -> str:
    return content.html if isinstance(content, Markup) else escape(content)
