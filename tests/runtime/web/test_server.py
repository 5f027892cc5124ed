"""The live page over HTTP: pictures and numbers move, buttons work, and strangers get nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from redness import polyp_frame
from stream_server import StreamServer, jpeg, wait_for

from microaunet_runtime import InputError
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.sources.opening import open_live

pytest.importorskip("onnxruntime")
pytest.importorskip("uvicorn")

from page_client import Shown, camera, shown

from microaunet_runtime.web.server import LiveServer, parse_address

TOKEN = "correct-horse-battery"


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path) -> Iterator[Shown]:
    with shown(camera(), tiny_bundle, tmp_path / "out") as each:
        yield each


@pytest.fixture
def guarded(tiny_bundle: Path, tmp_path: Path) -> Iterator[Shown]:
    with shown(camera(), tiny_bundle, tmp_path / "out", token=TOKEN) as each:
        yield each


def decoded(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def test_pictures_move_with_and_without_the_overlay(run: Shown) -> None:
    video = run.stream("/video?overlay=on")
    assert video.answer.getheader("Content-Type", "").startswith("multipart/x-mixed-replace")
    first, second = decoded(video.picture()), decoded(video.picture())
    video.close()
    assert first.shape == (120, 160, 3)
    assert np.abs(first.astype(int) - second).mean() > 1, "the picture moves"
    plain = run.stream("/video?overlay=off")
    image = decoded(plain.picture())
    plain.close()
    # The overlay's facts are white letters in a dark box in the left upper corner.
    assert first[:16, :100].min() < 60 < image[:16, :100].min()


def test_numbers_come_and_change(run: Shown) -> None:
    status = run.stream("/status")
    history = status.message()
    assert isinstance(history, list)
    message = status.until(lambda each: each.get("frame", 0) > 30)
    later = status.until(lambda each: each["frame"] > message["frame"])
    status.close()
    assert message["fps"] > 0
    assert 0 < message["latency_ms"]["inference"]["p50"] <= message["latency_ms"]["inference"]["p99"]
    assert 0 <= message["presence"] <= 1
    assert message["operating_point"] == {"value": 0.5, "least": 0.0, "most": 0.999}
    assert message["recording"] is False
    assert not message["lost"]
    assert later["fps"] > 0


def test_the_operating_point_hides_and_shows_regions(run: Shown) -> None:
    status = run.stream("/status")
    status.until(lambda each: each.get("area_percent", 0) > 0)
    assert run.ask("POST", "/operating-point", {"value": 0.999})[0] == 200  # no frame is so sure
    after = status.until(lambda each: each["area_percent"] == 0)
    assert after["operating_point"]["value"] == 0.999
    assert any("presence 0.999" in event["what"] for event in after["events"])
    assert run.ask("POST", "/operating-point", {"value": 0.3})[0] == 200
    status.until(lambda each: each["area_percent"] > 0)
    status.close()


@pytest.mark.parametrize(
    "body",
    [
        *({"value": value} for value in (1, -0.1, 2, "0.5", True, None)),
        *({}, [], {"value": 0.5, "more": 1}),
        *(b"{", b"NaN", b'{"value": NaN}', b'{"value": 1' + b"0" * 500 + b"}"),
    ],
)
def test_a_wrong_operating_point_is_refused_and_changes_nothing(run: Shown, body: object) -> None:
    status, _, answer = run.ask("POST", "/operating-point", body)
    assert status in (400, 422)
    assert b"error" in answer
    assert run.point.value == 0.5


def test_too_long_a_body_is_not_read(run: Shown) -> None:
    assert run.ask("POST", "/recording", b"x" * 5000)[0] == 413


def test_recording_starts_and_stops(run: Shown) -> None:
    status = run.stream("/status")
    assert run.ask("POST", "/recording", {"on": True})[0] == 200
    status.until(lambda each: each["recording"])
    begun = run.pipeline.report.frames
    wait_for(lambda: run.pipeline.report.frames > begun + 10)
    assert run.ask("POST", "/recording", {"on": False})[0] == 200
    ended = run.pipeline.report.frames
    status.close()
    wait_for(lambda: (run.folder / "overlay-0001.mp4").exists())
    playing = cv2.VideoCapture(str(run.folder / "overlay-0001.mp4"))
    frames = int(playing.get(cv2.CAP_PROP_FRAME_COUNT))
    playing.release()
    assert 8 <= frames <= ended, "only while it was on"
    run.ask("POST", "/recording", {"on": True})
    wait_for(lambda: any(run.folder.glob(".overlay-0002*")))
    assert run.ask("POST", "/recording", {"on": 1})[0] == 422


def test_a_snapshot_is_written_and_handed_out(run: Shown) -> None:
    wait_for(lambda: run.page.frames.latest)
    status, headers, content = run.ask("POST", "/snapshot")
    assert status == 200
    assert headers["content-type"] == "image/png"
    (path,) = (run.folder / "snapshots").iterdir()
    assert path.read_bytes() == content
    assert path.name in headers["content-disposition"]
    assert decoded(content).shape == (120, 160, 3)


def test_every_answer_forbids_what_a_page_does_not_need(run: Shown) -> None:
    for path in ("/", "/page.js", "/page.css", "/icon.svg", "/missing"):
        _, headers, content = run.ask("GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert b"http:" not in content.replace(b"http://www.w3.org/2000/svg", b""), (
            "nothing is loaded from elsewhere"
        )
        assert b"https:" not in content
        assert b"innerHTML" not in content


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "localhost.evil.example"])
def test_another_name_for_this_machine_is_not_answered(run: Shown, host: str) -> None:
    assert run.ask("GET", "/", headers={"Host": host})[0] == 403
    assert run.ask("GET", "/", headers={"Host": f"localhost:{run.server.port}"})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_another_page_cannot_press_a_button(run: Shown, headers: dict[str, str]) -> None:
    assert run.ask("POST", "/recording", {"on": True}, headers)[0] == 403
    assert run.recording.on is False
    own = {"Origin": f"http://127.0.0.1:{run.server.port}", "Sec-Fetch-Site": "same-origin"}
    assert run.ask("POST", "/recording", {"on": True}, own)[0] == 200


def test_without_the_token_nothing_is_shown(guarded: Shown) -> None:
    status, _, content = guarded.ask("GET", "/")
    assert status == 401
    assert b'name="token"' in content
    wrong = guarded.ask("GET", "/?token=wrong-wrong-wrong")
    assert wrong[0] == 401
    assert "set-cookie" not in wrong[1]
    for path in ("/video", "/status", "/page.js", "/missing"):
        assert guarded.ask("GET", path)[0] == 401
    for path in ("/snapshot", "/recording", "/operating-point"):
        assert guarded.ask("POST", path, {})[0] == 401
    bad = {"Authorization": "Bearer wrong", "Cookie": f"microaunet-{guarded.server.port}=wrong"}
    assert guarded.ask("GET", "/video", headers=bad)[0] == 401
    assert not (guarded.folder / "snapshots").exists()


def test_the_token_opens_the_page_and_leaves_the_address(guarded: Shown) -> None:
    status, headers, _ = guarded.ask("GET", f"/?token={TOKEN}")
    assert status == 303
    assert headers["location"] == "/"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    shown_cookie = {"Cookie": cookie.split(";")[0]}
    assert guarded.ask("GET", "/", headers=shown_cookie)[0] == 200
    assert guarded.ask("GET", "/", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
    guarded.headers = shown_cookie
    video = guarded.stream("/video")
    assert decoded(video.picture()).size
    video.close()


def test_a_camera_that_is_lost_shows_within_a_second(tiny_bundle: Path, tmp_path: Path) -> None:
    pictures = [jpeg(polyp_frame(64, 96, 20 + 5 * i, 30, 10, i)) for i in range(8)]
    gone = threading.Event()

    def frames(number: int) -> Iterator[bytes]:
        turn = 0
        while not gone.is_set():
            yield pictures[turn % 8]
            turn += 1

    events = Events()
    with StreamServer(frames, fps=25) as camera:
        source = open_live(camera.url, events)
        assert source
        with shown(source, tiny_bundle, tmp_path, events) as run:
            status = run.stream("/status")
            status.until(lambda each: each.get("frame", 0) > 5)
            gone.set()
            began = time.monotonic()
            message = status.until(lambda each: each["lost"])
            took = time.monotonic() - began
            status.close()
    assert any("connecting again" in event["what"] for event in message["events"])
    assert took < 1.0


def test_the_end_of_the_run_ends_the_page_and_frees_the_port(tiny_bundle: Path, tmp_path: Path) -> None:
    with shown(camera(), tiny_bundle, tmp_path) as run:
        video, status = run.stream("/video"), run.stream("/status")
        status.until(lambda each: each.get("frame", 0) >= 1)
        port = run.server.port
        stopping = threading.Thread(target=run.server.stop)
        stopping.start()
        status.until(lambda each: each["ended"])
        stopping.join(10)
        assert not stopping.is_alive()
        video.close()
        status.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_viewer_that_leaves_frees_its_place_also_when_no_frame_comes(run: Shown) -> None:
    videos = [run.stream("/video") for _ in range(5)]
    wait_for(lambda: run.page.frames.viewers == 5)
    run.pipeline.stop()
    for video in videos:
        video.close()
    wait_for(lambda: run.page.frames.viewers == 0)


def test_a_slow_viewer_misses_pictures_and_holds_up_nobody(run: Shown) -> None:
    slow, fast = run.stream("/video"), run.stream("/video")
    slow.picture()
    before = run.pipeline.report.frames
    for _ in range(30):
        fast.picture()
    assert run.pipeline.report.frames > before + 20
    slow.close()
    fast.close()


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(InputError, match="taken by another program"),
    ):
        LiveServer(str(other.getsockname()[1]))


@pytest.mark.parametrize(
    "address", ["", "http", "8080x", ":8080", "host:", "1:2:3", "70000", "no.such.host.invalid:1"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="--serve"):
        LiveServer(address)


def test_addresses_are_read_as_people_write_them() -> None:
    assert parse_address("8080") == ("127.0.0.1", 8080)
    assert parse_address("0.0.0.0:80") == ("0.0.0.0", 80)
    assert parse_address("[::1]:8080") == ("::1", 8080)


def test_beyond_this_machine_a_token_is_made_up_and_a_short_one_refused() -> None:
    server = LiveServer("0.0.0.0:0")
    assert server.token
    assert len(server.token) > 20
    assert server.token in server.entrance
    assert "0.0.0.0" not in server.entrance
    server.stop()
    alone = LiveServer("0")
    assert alone.token is None
    assert alone.entrance == f"http://127.0.0.1:{alone.port}/"
    alone.stop()
    with pytest.raises(InputError, match="at least 12"):
        LiveServer("0", "short")
