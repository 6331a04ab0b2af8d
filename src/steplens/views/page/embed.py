"""The page inside a notebook: plain text first, then the page in a frame of its own."""

import html
from dataclasses import replace

from steplens.model.report import Report
from steplens.views import text
from steplens.views.page.data import UNSEEN
from steplens.views.page.document import document
from steplens.views.paint import Look

LARGEST = 1_500_000  # bytes of data: the notebook's file holds them


def embedded(report: Report, look: Look) -> str:
    """HTML for ``_repr_html_``.

    Where a notebook is not trusted, styles and frames are taken out and the text remains; else the
    style hides the text and shows the frame. The frame may run the page's script and nothing else:
    it is another origin than the notebook.
    """
    plain = text.render(report, replace(look, color=False))
    words = html.escape(UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", plain))
    page = html.escape(document(report, look.lang, look.pages, LARGEST), quote=True)
    return (
        f'<div class="steplens-report"><pre class="steplens-text">{words}</pre>'
        "<style>.steplens-report .steplens-text{display:none}"
        ".steplens-report .steplens-page{display:block!important}</style>"
        f'<iframe class="steplens-page" title="steplens" sandbox="allow-scripts" srcdoc="{page}" '
        'style="display:none;width:100%;height:760px;border:0" loading="lazy"></iframe></div>'
    )
