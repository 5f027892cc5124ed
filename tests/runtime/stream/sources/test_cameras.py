"""A camera's mode: what is asked of it, and one that does something else. Cameras are scripted here."""

from __future__ import annotations

import cv2
import pytest

from microaunet_runtime.errors import InputError
from microaunet_runtime.stream.sources import cameras
from microaunet_runtime.stream.sources.cameras import Camera, CameraSettings, parse


@pytest.mark.parametrize(
    ("text", "number", "settings"),
    [
        ("0", 0, CameraSettings()),
        ("12?fps=29.97", 12, CameraSettings(fps=29.97)),
        ("0?size=1920x1080&fourcc=MJPG&fps=60", 0, CameraSettings((1920, 1080), "MJPG", 60.0)),
        ("1?fourcc=YUYV&size=640x480", 1, CameraSettings((640, 480), "YUYV")),
    ],
)
def test_what_is_asked(text: str, number: int, settings: CameraSettings) -> None:
    assert parse(text) == (number, settings)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "-1", "0;rm", "0?", "0?colour=red"),
        *("0?size=1920", "0?size=0x10", "0?size=99999x99999", "0?fourcc=MJPEG"),
        *("0?fps=fast", "0?fps=0", "0?fps=30&fps=60"),
    ],
)
def test_what_is_misspelt_is_explained_by_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"give camera:0, or 'camera:0\?size=1920x1080&fourcc=MJPG&fps=60'"):
        parse(text)


class Scripted:
    """A camera whose best mode is 1280 x 720 in MJPG at 59.94, and 640 x 480 at 30 in any other format."""

    def __init__(self, *arguments: int) -> None:
        self.arguments = arguments
        self.released = False
        self.asked: list[int] = []
        self.mode = {
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter_fourcc(*"YUYV")),
            cv2.CAP_PROP_FRAME_WIDTH: 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FRAME_COUNT: -1.0,
        }

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def get(self, what: int) -> float:
        return self.mode[what]

    def set(self, what: int, value: float) -> bool:
        self.asked.append(what)
        compressed = self.mode[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter_fourcc(*"MJPG")
        best = {cv2.CAP_PROP_FRAME_WIDTH: 1280.0, cv2.CAP_PROP_FRAME_HEIGHT: 720.0, cv2.CAP_PROP_FPS: 59.94}
        self.mode[what] = value if what == cv2.CAP_PROP_FOURCC or not compressed else min(value, best[what])
        if not compressed and what in best:
            self.mode[what] = {**best, cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}[
                what
            ]
            self.mode[cv2.CAP_PROP_FPS] = 30.0
        return True

    def release(self) -> None:
        self.released = True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Scripted]:
    opened: list[Scripted] = []

    def capture(*arguments: int) -> Scripted:
        opened.append(Scripted(*arguments))
        return opened[-1]

    monkeypatch.setattr(cameras.opencv(), "VideoCapture", capture)
    return opened


def test_the_format_is_asked_for_first_and_the_rate_may_be_a_fraction(scripted: list[Scripted]) -> None:
    camera = Camera(*parse("0?fps=60&size=1280x720&fourcc=MJPG"))
    assert scripted[0].arguments == (0, cv2.CAP_V4L2)
    assert scripted[0].asked[0] == cv2.CAP_PROP_FOURCC  # else this camera would stay at 640 x 480
    assert camera.fps == pytest.approx(59.94)
    assert camera.endless


def test_a_camera_without_wishes_is_left_as_it_is(scripted: list[Scripted]) -> None:
    assert Camera(*parse("0")).fps == 30
    assert not scripted[0].asked


@pytest.mark.parametrize("wish", ["size=1920x1080&fourcc=MJPG", "size=1280x720", "fourcc=MJPG&fps=120"])
def test_a_camera_that_does_something_else_is_refused_and_given_back(
    scripted: list[Scripted], wish: str
) -> None:
    with pytest.raises(InputError, match=r"camera:3 gives \d+x\d+ \w{4} at .*v4l2-ctl --device /dev/video3"):
        Camera(*parse(f"3?{wish}"))
    assert scripted[0].released
