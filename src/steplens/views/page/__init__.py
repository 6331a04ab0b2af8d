"""The page: one HTML file to step through a run."""

from steplens.views.page.document import render
from steplens.views.page.embed import embedded

__all__ = ["embedded", "render"]
