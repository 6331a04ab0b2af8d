"""Makes the pictures of the page: runs the reference notebook, opens its page in Chromium, and
writes ``docs/images/*.png``, reduced to the colours they need."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the browser of the tests

from browser import FLAGS, executable  # noqa: E402

IMAGES = ROOT / "docs" / "images"
NOTEBOOK = "examples/reference_notebook.ipynb"
COLOURS = 128
PICTURES = (  # name, theme, width, height, event, language
    ("page-light", "light", 1360, 880, 18, "en"),
    ("page-dark", "dark", 1360, 880, 18, "en"),
    ("finding-light", "light", 1360, 880, 22, "en"),
    ("finding-dark", "dark", 1360, 880, 22, "en"),
    ("page-zh", "light", 1360, 880, 22, "zh"),
    ("page-narrow", "light", 400, 820, 18, "en"),
)


def page(folder: Path, lang: str) -> Path:
    """The notebook's page in one language."""
    path = folder / f"{lang}.html"
    command = [sys.executable, "-m", "steplens", "run", "--output-format", "html", "--lang", lang]
    command += ["--output-file", str(path), NOTEBOOK]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path


def reduced(png: bytes) -> bytes:
    """The same picture with a palette: a fifth of the bytes."""
    found = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(found, "PNG", optimize=True)
    return found.getvalue()


def main() -> None:
    """Make every picture."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        pages = {lang: page(Path(folder), lang) for lang in ("en", "zh")}
        browser = player.chromium.launch(executable_path=executable(), args=FLAGS)
        for name, theme, width, height, event, lang in PICTURES:
            size = {"width": width, "height": height}
            sheet = browser.new_page(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
            sheet.goto(f"{pages[lang].as_uri()}#e={event}")
            sheet.locator("#position").wait_for()
            path = IMAGES / f"{name}.png"
            path.write_bytes(reduced(sheet.screenshot()))
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
            sheet.close()
        browser.close()


if __name__ == "__main__":
    main()
