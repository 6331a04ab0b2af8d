"""Sphinx settings of the documentation site: Markdown by MyST, theme Furo."""

import tomllib
from pathlib import Path

from steplens import __version__

ROOT = Path(__file__).resolve().parent.parent

project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
author = "The steplens authors"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
root_doc = "index"
exclude_patterns = ["**/.*"]
suppress_warnings = ["myst.header"]  # generated pages begin where their source begins

html_theme = "furo"
html_title = f"steplens {version}"
html_show_sphinx = False
html_copy_source = False
linkcheck_anchors = False
