"""Pictures of a run's page, for the README: what a reader sees first, in a headless Chromium.

    python -P -m scripts.screenshots runs/demo/out --to docs/images

page-overview.png, page-video.png (both 1280 px wide) and page-phone.png (380 px, dark).
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_BYTES = 300_000
_MOMENT_SEC = 4.6  # of the video that is shown
_WIDE = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
_PHONE = {"viewport": {"width": 380, "height": 780}, "color_scheme": "dark", "is_mobile": True}


def main(arguments: Sequence[str] | None = None) -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of results, of which `augrgb report OUT` was made")
    parser.add_argument("--to", type=Path, required=True, help="folder of the pictures")
    given = parser.parse_args(arguments)
    page = given.out.resolve() / "report" / "index.html"
    if not page.is_file():
        raise SystemExit(f"{page}: no such file; make it: augrgb report {given.out}")
    take(page.as_uri(), given.to)


def take(url: str, folder: Path) -> None:
    """All pictures of one page."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, settings in (("overview", _WIDE), ("video", _WIDE), ("phone", _PHONE)):
            page = browser.new_page(**settings, bypass_csp=True)  # Playwright waits by evaluating strings
            page.set_default_timeout(120_000)
            page.goto(url if name == "overview" else f"{url}#t={_MOMENT_SEC}")
            page.wait_for_selector("#video[data-shown]")
            if name != "overview":
                draw_over(page, ("joints", "flow") if name == "video" else ("joints",))
            picture = folder / f"page-{name}.png"
            page.screenshot(path=picture)
            shrink(picture)
            page.close()
        browser.close()


def draw_over(page: "Page", overlays: Sequence[str]) -> None:
    """What is wanted, and can be, drawn over the picture; the picture at the top."""
    for option in [page.locator(f"#show-{name}") for name in overlays]:
        if option.is_visible():
            option.check()
    page.wait_for_function("document.getElementById('player').readyState >= 2")
    page.wait_for_function("!document.getElementById('player').seeking")
    page.locator("#video-name").evaluate("(node) => node.scrollIntoView({behavior: 'instant'})")
    page.wait_for_timeout(1500)  # overlays come from files of their own


def shrink(picture: Path) -> None:
    """With a palette of 256 colours where it is too large for a repository."""
    if picture.stat().st_size > MOST_BYTES:
        Image.open(picture).convert("RGB").quantize(256, kmeans=3).save(picture, optimize=True)


def chromium() -> str:
    """The browser's path: what CHROMIUM names, or the system's."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no Chromium on this machine: install it, or name it in CHROMIUM")
    return found


if __name__ == "__main__":
    main()
