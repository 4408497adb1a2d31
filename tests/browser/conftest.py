"""One page and one browser for all tests; they skip where there is no Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report import write_report

from .world import report_data

ARGUMENTS = ["--no-sandbox", "--disable-gpu"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine; CHROMIUM names one")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=300_000)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., Any]]:
    """`open_page(url, **context)`: the page, without a network; a complaint in its console fails the test."""
    contexts, complaints = [], []

    def open_it(url: str, *, complains: bool = False, offline: bool = True, **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        context.set_default_timeout(120_000)  # a busy machine says nothing of the page
        context.set_offline(offline)
        contexts.append(context)
        page = context.new_page()
        if not complains:
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        if not complains:
            page.wait_for_selector("#video[data-shown]")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A report of 3 videos with previews, joints and four models, and of 40 with scores alone."""
    out = tmp_path_factory.mktemp("report")
    write_report(report_data(out), out)
    return out
