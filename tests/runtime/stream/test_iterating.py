"""``microaunet_runtime.stream``: the results of a source in a ``for`` loop."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from redness import polyp_frame, redness
from running import invoke
from stream_server import StreamServer, jpeg, wait_for
from videos import write_video

import microaunet_runtime
from microaunet_runtime import Events, InputError
from microaunet_runtime.files import read_json
from microaunet_runtime.images import read_image, write_image

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).parents[3]


def test_every_frame_of_a_video_with_all_that_is_known_of_it(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=15, size=(160, 120))
    results = list(microaunet_runtime.stream(clip, tiny_bundle))
    assert [result.frame.index for result in results] == list(range(15))
    assert [result.frame.time_s for result in results] == pytest.approx([index / 20 for index in range(15)])
    for result in results:
        assert result.mask.shape == result.frame.image.shape[:2] == (120, 160)
        assert 0.9 < result.presence <= 1
        assert result.area == np.count_nonzero(result.mask)
        assert {"preprocess", "inference", "postprocess", "end_to_end"} <= set(result.latency_ms)
        assert result.overlay is None
    assert {result.regions[0].id for result in results} == {1}, "the disc that moves is one region"
    assert results[-1].regions[0].frames == 15
    assert results[-1].region_count == 1


def test_presence_is_low_where_nothing_is_red(tiny_bundle: Path, tmp_path: Path) -> None:
    frame = polyp_frame(64, 96, -50, -50, 1)
    write_image(tmp_path / "a.png", frame)
    (result,) = microaunet_runtime.stream(tmp_path / "a.png", tiny_bundle)
    assert result.presence == pytest.approx(float(redness(frame[None]).max()), abs=1e-4)
    assert result.presence < 0.5
    assert list(result.regions) == []


def test_it_gives_what_the_command_gives_with_the_same_options(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=12, size=(160, 120))
    out = tmp_path / "out"
    done = invoke(
        *("--bundle", tiny_bundle, "--source", clip, "--out", out, "--json", tmp_path / "run.json"),
        *("--threshold", 0.4, "--stabilise", "--presence", 0.6, "--crop-view"),
    )
    assert done.exit_code == 0, done.output
    options = {"threshold": 0.4, "stabilise": True, "presence": 0.6, "crop_view": True, "overlay": True}
    results = list(microaunet_runtime.stream(clip, tiny_bundle, **options))  # type: ignore[arg-type]
    assert len(results) == read_json(tmp_path / "run.json")["frames"] == 12
    assert any(result.area for result in results)
    for result in results:
        written = read_image(out / "masks" / f"{result.frame.name}.png")[..., 0]
        np.testing.assert_array_equal(result.mask * 255, written)
        assert result.overlay is not None


def test_images_do_not_follow_each_other_so_no_region_is_followed(tiny_bundle: Path, tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / "in" / f"{number}.png", polyp_frame(64, 96, 40, 30, 10))
    results = list(microaunet_runtime.stream(tmp_path / "in", tiny_bundle))
    assert [result.regions[0].frames for result in results] == [1] * 4
    assert [result.region_count for result in results] == [1] * 4


def test_it_is_lazy_and_gives_back_what_it_held(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=200)
    missing = microaunet_runtime.stream(tmp_path / "missing.mp4", tiny_bundle)
    with pytest.raises(InputError, match=r"missing\.mp4 does not exist"):
        next(missing)
    for result in microaunet_runtime.stream(clip, tiny_bundle):
        if result.frame.index == 3:
            break
    held = [opened.path for opened in psutil.Process().open_files()]
    assert str(clip) not in held


def test_a_folder_of_videos_is_refused_with_the_first_as_a_remedy(tiny_bundle: Path, tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_video(tmp_path / "in" / name)
    with pytest.raises(InputError, match=r"holds 2 videos.*a\.mp4"):
        next(microaunet_runtime.stream(tmp_path / "in", tiny_bundle))


def test_a_damaged_video_is_an_error_after_the_frames_it_holds(tiny_bundle: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", frames=40)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    results = microaunet_runtime.stream(cut, tiny_bundle)
    assert [next(results).frame.index for _ in range(10)] == list(range(10))
    with pytest.raises(InputError, match=r"cut\.avi was cut short: \d+ of 40 frames"):
        list(results)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"presence": 1.0}, "presence 1.0 is not from 0"),
        ({"stabilise": True, "presence": -0.3}, "presence -0.3 is not from 0"),
        ({"threshold": 1.5}, "not between 0 and 1"),
        ({"precision": "int8"}, "has no int8 file"),
        ({"backend": "magic"}, "not known"),
    ],
)
def test_what_cannot_be_is_one_clear_error(
    options: dict[str, object], says: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "clip.mp4")
    with pytest.raises(InputError, match=says):
        next(microaunet_runtime.stream(clip, tiny_bundle, **options))  # type: ignore[arg-type]


def test_stabilising_images_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "a.png", polyp_frame(64, 96, 40, 30, 10))
    with pytest.raises(InputError, match="give a video"):
        next(microaunet_runtime.stream(tmp_path / "in", tiny_bundle, stabilise=True))


def test_a_camera_that_is_lost_is_found_again_and_a_slow_loop_gets_the_newest_frame(
    tiny_bundle: Path,
) -> None:
    pictures = [jpeg(polyp_frame(64, 96, 20 + 5 * i, 30, 10, i)) for i in range(8)]

    def frames(number: int):  # type: ignore[no-untyped-def]
        for turn in range(12 if number == 0 else 10_000):
            yield pictures[turn % 8]

    events = Events()
    with StreamServer(frames) as server:
        ages = []
        for result in microaunet_runtime.stream(server.url, tiny_bundle, events=events):
            time.sleep(0.05)
            assert result.frame.captured is not None
            ages.append(result.latency_ms["end_to_end"])
            if server.connections >= 2 and len(ages) > 15:
                break
    assert any("connecting again" in event["what"] for event in events.record())
    assert float(np.median(ages)) < 300
    wait_for(lambda: not any(thread.name == "reader" for thread in threading.enumerate()))


def test_the_example_runs(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=20, size=(160, 120))
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "video.py"), str(tiny_bundle), str(clip)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "region 1 appears at" in done.stdout
    assert done.stdout.splitlines()[-1] == "20 frames, 1 regions"
    wrong = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "video.py"), str(tmp_path), str(clip)],
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")


def test_the_function_does_not_hide_the_room_of_its_name() -> None:
    from microaunet_runtime.stream import pipeline
    from microaunet_runtime.stream.pipeline import Pipeline

    assert pipeline.Pipeline is Pipeline
    assert callable(microaunet_runtime.stream)
