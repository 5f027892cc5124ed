"""The live page in a real browser, Debian's Chromium without a window, driven by Selenium."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("uvicorn")
webdriver = pytest.importorskip("selenium.webdriver")

from page_client import Camera, Shown, shown  # noqa: E402 (needs uvicorn)

from microaunet_runtime.stream.events import Events  # noqa: E402
from microaunet_runtime.stream.sources.live import LiveSource  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs a browser: apt-get install chromium chromium-driver"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture
def plugged() -> Camera:
    return Camera(240, 320)


@pytest.fixture
def run(plugged: Camera, tiny_bundle: Path, tmp_path: Path) -> Iterator[Shown]:
    events = Events()
    source = LiveSource("camera:0 <b>not bold</b>", lambda: plugged, events)
    with shown(source, tiny_bundle, tmp_path / "out", events) as each:
        yield each


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def text(browser: Any, element: str) -> str:
    return str(browser.find_element("id", element).text)


def click(browser: Any, element: str) -> None:
    browser.find_element("id", element).click()


def picture(browser: Any) -> str:
    """A small copy of the picture that is shown, as a data address."""
    return str(
        browser.execute_script(
            "const canvas = document.createElement('canvas'); canvas.width = 64; canvas.height = 48;"
            "canvas.getContext('2d').drawImage(document.getElementById('video'), 0, 0, 64, 48);"
            "return canvas.toDataURL();"
        )
    )


def test_a_person_watches_presses_every_button_and_sees_the_camera_lost(
    browser: Any, run: Shown, plugged: Camera
) -> None:
    browser.get(run.server.url)
    until(lambda: text(browser, "state").lower() == "live")
    until(lambda: browser.execute_script("return document.getElementById('video').naturalWidth") == 320)
    assert "camera:0 <b>not bold</b>" in text(browser, "source"), "what others wrote is text, not HTML"

    first = picture(browser)
    until(lambda: picture(browser) != first)
    for number in ("presence", "area", "fps", "total50", "inference99"):
        until(lambda number=number: text(browser, number) not in ("–", ""))
    until(lambda: float(text(browser, "fps")) > 0)
    seen = {text(browser, "total50")}
    until(lambda: not seen.issuperset({text(browser, "total50")}))
    assert browser.execute_script(
        "const c = document.getElementById('chart');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((byte) => byte > 0);"
    ), "the chart is drawn"

    click(browser, "overlay")
    assert browser.find_element("id", "overlay").get_attribute("aria-pressed") == "false"
    until(lambda: "overlay=off" in browser.find_element("id", "video").get_attribute("src"))
    until(lambda: browser.execute_script("return document.getElementById('video').naturalWidth") == 320)

    click(browser, "recording")
    until(lambda: run.recording.on and text(browser, "recording") == "Stop")
    until(lambda: browser.find_element("id", "rec").is_displayed())
    begun = run.pipeline.report.frames
    until(lambda: run.pipeline.report.frames > begun + 5)
    click(browser, "recording")
    until(lambda: not run.recording.on and text(browser, "recording") == "Record")
    until(lambda: (run.folder / "overlay-0001.mp4").exists())

    click(browser, "snapshot")
    until(lambda: any((run.folder / "snapshots").glob("*.png")))

    browser.execute_script(
        "const slider = document.getElementById('point'); slider.value = 0.999;"
        "slider.dispatchEvent(new Event('input')); slider.dispatchEvent(new Event('change'));"
    )
    until(lambda: run.point.value == 0.999)
    until(lambda: text(browser, "regions") == "0")
    until(lambda: "operating point set to presence 0.999" in text(browser, "events"))

    browser.execute_script(
        "const notice = document.getElementById('notice');"
        "new MutationObserver(() => { window.said = window.said || notice.textContent; })"
        ".observe(notice, { childList: true });"
    )
    waited = []
    for _ in range(3):  # the best of three, as other programs may hold up this machine
        browser.execute_script("window.said = ''")
        plugged.unplugged.set()
        until(lambda: text(browser, "state").lower() == "no signal")
        said = re.fullmatch(r"No new frame for (\d+\.\d) s", browser.execute_script("return window.said"))
        assert said
        waited.append(float(said[1]))
        until(lambda: "connecting again" in text(browser, "events"))
        plugged.unplugged.clear()
        until(lambda: text(browser, "state").lower() == "live")
    assert min(waited) < 1.0, "it is said within a second"

    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == [], "no error, and nothing that the page's policy forbids"


def test_it_can_be_read_on_a_phone(browser: Any, run: Shown) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    browser.get(run.server.url)
    until(lambda: text(browser, "state").lower() == "live")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    for button in ("overlay", "recording", "snapshot"):
        size = browser.find_element("id", button).size
        assert size["height"] >= 44, "large enough for a finger"
        assert size["width"] >= 80
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_server_that_is_gone_and_the_end_of_a_run_are_said(browser: Any, run: Shown) -> None:
    browser.get(run.server.url)
    until(lambda: text(browser, "state").lower() == "live")
    run.server.stop()
    until(lambda: text(browser, "state").lower() in ("ended", "offline"))
    assert browser.find_element("id", "notice").is_displayed()


def test_the_token_is_asked_for(browser: Any, plugged: Camera, tiny_bundle: Path, tmp_path: Path) -> None:
    token = "correct-horse-battery"
    source = LiveSource("camera:0", lambda: plugged, Events())
    with shown(source, tiny_bundle, tmp_path / "out", token=token) as run:
        browser.get(run.server.url)
        field = browser.find_element("name", "token")
        field.send_keys("wrong-wrong-wrong")
        field.submit()
        until(lambda: "wrong-wrong" in browser.current_url)
        field = browser.find_element("name", "token")
        field.send_keys(token)
        field.submit()
        until(lambda: browser.find_elements("id", "state") and text(browser, "state").lower() == "live")
        assert token not in browser.current_url
