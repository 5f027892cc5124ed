"""``microaunet-run`` as a user starts it: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from hostile_graphs import failing_graph, give, looping_graph
from redness import polyp_frame, write_bundle
from results import names, result
from running import RUN, invoke
from typer.testing import Result
from videos import play, write_video

from microaunet_runtime import console
from microaunet_runtime.commands.run.folder import MARK
from microaunet_runtime.images import write_image
from microaunet_runtime.inference.backend import Outputs
from microaunet_runtime.inference.cuda import CudaError
from microaunet_runtime.inference.onnxruntime import OnnxRuntimeBackend
from microaunet_runtime.inference.session import MOST_THREADS
from microaunet_runtime.stream.sinks.window import displayed

pytest.importorskip("onnxruntime")


def test_help_has_an_example() -> None:
    shown = invoke("--help")
    assert shown.exit_code == 0
    assert "microaunet-run --bundle" in " ".join(shown.output.split())


def test_a_video_gives_masks_overlay_lines_and_a_summary(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=15, size=(160, 120))
    done = invoke(
        *("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "out"),
        *("--json", tmp_path / "run.json", "--backend", "onnxruntime"),
    )
    assert done.exit_code == 0, done.output
    assert "not for clinical use" in done.output
    assert names(tmp_path / "out") == [MARK, "frames.jsonl", "masks", "overlay.mp4"]
    assert len(play(tmp_path / "out" / "overlay.mp4")) == 15
    assert len(names(tmp_path / "out" / "masks")) == 15
    mask = cv2.imread(str(tmp_path / "out" / "masks" / "000007.png"), cv2.IMREAD_UNCHANGED)
    truth = polyp_frame(120, 160, 45, 30, 9, 7)[..., 1] < 60
    assert ((mask > 0) & truth).sum() / ((mask > 0) | truth).sum() > 0.7
    lines = [json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(15))
    assert lines[7]["polyp_area_px"] == np.count_nonzero(mask)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["frames"] == 15
    assert facts["fps"] > 0
    assert facts["backend"] == "onnxruntime"
    assert facts["precision"] == "fp32"
    for stage in ("preprocess", "inference", "postprocess", "end_to_end"):
        assert 0 < facts["latency_ms"][stage]["p50"] <= facts["latency_ms"][stage]["p99"]


def test_regions_come_as_coco_annotations_too(tiny_bundle: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "a.png", polyp_frame(80, 100, 40, 40, 12))
    arguments = ("--bundle", tiny_bundle, "--source", tmp_path / "in", "--out", tmp_path / "out", "--coco")
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out" / "coco.json").read_text())
    (line,) = (json.loads(text) for text in (tmp_path / "out" / "frames.jsonl").read_text().splitlines())
    (image,) = content["images"]
    assert (image["file_name"], image["height"], image["width"]) == (line["name"], 80, 100)
    assert sum(annotation["area"] for annotation in content["annotations"]) == line["polyp_area_px"] > 0
    assert invoke(*arguments[:-1]).exit_code == 0
    assert not (tmp_path / "out" / "coco.json").exists(), "what a run without it leaves is its own"


def test_images_give_overlay_images(tiny_bundle: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "in" / f"a{number}.png", polyp_frame(80 + number, 100, 40, 40, 12))
    done = invoke("--bundle", tiny_bundle, "--source", tmp_path / "in", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert names(tmp_path / "out" / "overlays") == ["a0.png", "a1.png", "a2.png"]
    assert cv2.imread(str(tmp_path / "out" / "masks" / "a2.png")).shape == (82, 100, 3)


def test_the_masks_of_a_data_set_are_never_replaced(tiny_bundle: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        write_image(tmp_path / "set" / folder / "a.png", polyp_frame(64, 96, 40, 30, 10, 1))
    truth = (tmp_path / "set" / "masks" / "a.png").read_bytes()
    done = invoke(
        *("--bundle", tiny_bundle, "--source", tmp_path / "set" / "images", "--out", tmp_path / "set")
    )
    assert done.exit_code == 2
    assert "was not made by this program" in " ".join(done.output.split())
    assert (tmp_path / "set" / "masks" / "a.png").read_bytes() == truth
    assert names(tmp_path / "set") == ["images", "masks"]


def test_a_video_leaves_nothing_of_a_longer_one_before(tiny_bundle: Path, tmp_path: Path) -> None:
    for frames in (9, 4):
        clip = write_video(tmp_path / "clip.mp4", frames=frames)
        assert invoke("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "out").exit_code == 0
    assert len(names(tmp_path / "out" / "masks")) == 4


def test_overlay_and_masks_can_be_left_out(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    done = invoke(
        *("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "out", "--no-masks", "--no-overlay")
    )
    assert done.exit_code == 0, done.output
    assert names(tmp_path / "out") == [MARK, "frames.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--source", "missing.mp4"], "missing.mp4 does not exist"),
        (["--source", "empty"], "holds no image"),
        (["--source", "clip.mp4", "--precision", "int8"], "has no int8 file"),
        (["--source", "clip.mp4", "--precision", "fp64"], "fp64"),
        (["--source", "clip.mp4", "--threshold", "1.5"], "not between 0 and 1"),
        (["--source", "clip.mp4", "--presence", "1"], "presence 1.0 is not from 0"),
        (["--source", "clip.mp4", "--stabilise", "--presence", "-1"], "presence -1.0 is not from 0"),
        (["--source", "clip.mp4", "--backend", "caffe"], "caffe"),
        ([], "give --source and --out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    (tmp_path / "work" / "empty").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    write_video(Path("clip.mp4"), frames=2)
    done = invoke("--bundle", tiny_bundle, "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_a_changed_bundle_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    model = tiny_bundle / "fp32.onnx"
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(content)
    clip = write_video(tmp_path / "clip.mp4", frames=2)
    done = invoke("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "sha256 differs" in done.output


def test_a_damaged_image_ends_the_run_with_whole_files_only(tiny_bundle: Path, tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / "in" / f"a{number}.png", polyp_frame(80, 100, 40, 40, 12))
    damaged = tmp_path / "in" / "a2.png"
    damaged.write_bytes(damaged.read_bytes()[:500])
    arguments = ("--bundle", tiny_bundle, "--source", tmp_path / "in", "--out", tmp_path / "out")
    done = invoke(*arguments, "--json", tmp_path / "report.json")
    assert done.exit_code == 2
    assert "a2.png" in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 2
    assert "a2.png" in report["error"]
    for path in (tmp_path / "out" / "masks").iterdir():
        assert cv2.imread(str(path)) is not None


def test_an_output_that_cannot_be_written_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=30)
    (tmp_path / "file").write_text("in the way")
    done = invoke("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "file")
    assert done.exit_code == 2
    assert "cannot write" in done.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_playable_files_and_says_so(tiny_bundle: Path, tmp_path: Path, number: int) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=1500, size=(320, 240))
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [*RUN, "--bundle", str(tiny_bundle), "--source", str(clip), "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    deadline = time.monotonic() + 60
    while not (folder / "masks" / "000020.png").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "complete and playable" in output
    lines = (folder / "frames.jsonl").read_text().splitlines()
    assert 20 <= len(lines) < 1500
    assert len(play(folder / "overlay.mp4")) == len(lines) == len(names(folder / "masks"))
    assert names(folder) == [MARK, "frames.jsonl", "masks", "overlay.mp4"]


def test_the_self_test_passes_and_says_what_it_compared(tiny_bundle: Path, tmp_path: Path) -> None:
    done = invoke("--bundle", tiny_bundle, "--self-test", "--json", tmp_path / "checks.json")
    assert done.exit_code == 0, done.output
    checks = json.loads((tmp_path / "checks.json").read_text())["checks"]
    (cpu,) = [check for check in checks if check["backend"] == "onnxruntime"]
    assert cpu["passed"]
    assert cpu["max_abs_difference"] < 1e-5
    assert cpu["mask_agreement"] == 1
    assert cpu["latency_ms"]["p50"] > 0


def test_the_self_test_fails_when_an_artefact_is_off(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_bundle(biases={"fp32": -8.0, "fp16": -8.001, "int8": -2.0})
    done = invoke(
        *("--bundle", folder, "--self-test", "--backend", "onnxruntime", "--json", tmp_path / "checks.json")
    )
    assert done.exit_code == 3
    assert "1 of 3 checks failed, the first is onnxruntime int8" in " ".join(done.output.split())
    checks = json.loads((tmp_path / "checks.json").read_text())["checks"]
    assert {check["precision"]: check["passed"] for check in checks} == {
        "fp32": True,
        "fp16": True,
        "int8": False,
    }


def test_the_self_test_fails_on_what_is_no_number(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_bundle(biases={"fp32": -8.0, "fp16": float("nan")})
    done = invoke("--bundle", folder, "--self-test", "--json", tmp_path / "checks.json")
    assert done.exit_code == 3
    checks = json.loads((tmp_path / "checks.json").read_text())["checks"]
    (half,) = [one for one in checks if (one["backend"], one["precision"]) == ("onnxruntime", "fp16")]
    assert not half["passed"]
    assert "from nan to nan" in half["problem"]


def test_the_self_test_records_what_breaks_and_goes_on(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_bundle(biases={"fp32": -8.0, "fp16": -8.001})
    infer = OnnxRuntimeBackend.infer

    def breaks(backend: OnnxRuntimeBackend, frame: np.ndarray) -> Outputs:
        if backend.precision == "fp32":
            raise CudaError("an illegal memory access")
        return infer(backend, frame)

    monkeypatch.setattr(OnnxRuntimeBackend, "infer", breaks)
    done = invoke(
        *("--bundle", folder, "--self-test", "--backend", "onnxruntime", "--json", tmp_path / "checks.json")
    )
    assert done.exit_code == 3
    checks = json.loads((tmp_path / "checks.json").read_text())["checks"]
    assert {check["precision"]: check["passed"] for check in checks} == {"fp32": False, "fp16": True}
    assert "illegal memory access" in checks[0]["problem"]


def test_the_self_test_says_what_fails_on_a_frame(tiny_bundle: Path) -> None:
    give(tiny_bundle, failing_graph)
    done = invoke("--bundle", tiny_bundle, "--self-test", "--backend", "onnxruntime")
    assert done.exit_code == 3
    assert "the first is onnxruntime fp32: ONNX Runtime failed on" in " ".join(done.output.split())


@pytest.mark.parametrize("what", [("--self-test", "--backend", "onnxruntime"), ("--source",)])
def test_sigterm_ends_a_graph_that_never_ends(tiny_bundle: Path, tmp_path: Path, what: tuple[str]) -> None:
    """Trusted by mistake: an endless Loop holds nobody who says no."""
    give(tiny_bundle, lambda height, width: looping_graph(height, width, 2**62))
    source = write_video(tmp_path / "clip.mp4")
    more = [*what, str(source), "--out", str(tmp_path / "out")] if what == ("--source",) else what
    process = subprocess.Popen(
        [*RUN, "--bundle", str(tiny_bundle), "--trust", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()  # the banner: it has begun
    cpu = psutil.Process(process.pid).cpu_times
    while cpu().user < 1.5:  # imports are done by then, and the graph counts
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGTERM, 130)


def test_an_operator_that_is_not_listed_is_refused_by_name(tiny_bundle: Path, tmp_path: Path) -> None:
    give(tiny_bundle, lambda height, width: looping_graph(height, width, 3))
    image = tmp_path / "a.png"
    write_image(image, polyp_frame(64, 96, 50, 30, 15))
    asked = ("--bundle", tiny_bundle, "--source", image, "--out", tmp_path / "out")
    refused = invoke(*asked)
    assert refused.exit_code == 2
    assert "uses Loop" in refused.output
    trusted = invoke(*asked, "--trust")
    assert trusted.exit_code == 0
    assert "trusted to run Loop" in trusted.output


def test_stabilised_masks_show_no_flash(tiny_bundle: Path, tmp_path: Path) -> None:
    """One red frame in a grey video: marked without --stabilise, never shown with it."""
    writer = cv2.VideoWriter(str(tmp_path / "flash.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (96, 64))
    for index in range(12):
        shade = polyp_frame(64, 96, 50, 30, 20 if index == 5 else 0, index)
        writer.write(shade[..., ::-1].copy())
    writer.release()
    areas = {}
    for name, more in (("plain", []), ("stable", ["--stabilise"])):
        folder = tmp_path / name
        arguments = ("--bundle", tiny_bundle, "--source", tmp_path / "flash.mp4", "--out", folder)
        assert invoke(*arguments, *more).exit_code == 0
        lines = (folder / "frames.jsonl").read_text().splitlines()
        areas[name] = [json.loads(line)["polyp_area_px"] for line in lines]
    assert areas["plain"][5] > 500
    assert sum(areas["stable"]) == 0


def test_the_operating_point_is_the_bundles_or_the_one_asked_for(tmp_path: Path) -> None:
    """Stills and stabilised masks have one each."""
    bundle = write_bundle(tmp_path / "bundle", presence=0.6, stabilised_presence=0.99999)
    writer = cv2.VideoWriter(str(tmp_path / "polyp.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (96, 64))
    for index in range(8):
        writer.write(polyp_frame(64, 96, 50, 30, 20, index)[..., ::-1].copy())
    writer.release()
    first: dict[str, int | None] = {}
    for name, more in {
        "single": [],
        "single, asked": ["--presence", "0.99999"],
        "stabilised": ["--stabilise"],
        "stabilised, asked": ["--stabilise", "--presence", "0.6"],
    }.items():
        folder = tmp_path / name
        arguments = ("--bundle", bundle, "--source", tmp_path / "polyp.mp4", "--out", folder)
        assert invoke(*arguments, *more).exit_code == 0
        lines = [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]
        assert all(0.6 < line["presence"] < 0.99999 for line in lines)
        first[name] = next((line["index"] for line in lines if line["polyp_area_px"]), None)
    assert first == {"single": 0, "single, asked": None, "stabilised": None, "stabilised, asked": 1}


def test_stabilising_images_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", polyp_frame(64, 96, 50, 30, 10))
    arguments = ("--bundle", tiny_bundle, "--source", tmp_path / "a.png", "--out", tmp_path / "out")
    done = invoke(*arguments, "--stabilise")
    assert done.exit_code == 2
    assert "give a video" in done.output


def test_the_area_is_of_the_view_and_the_mask_of_the_frame(tiny_bundle: Path, tmp_path: Path) -> None:
    screen = np.zeros((300, 600, 3), np.uint8)
    screen[50:250, 250:550] = polyp_frame(200, 300, 150, 100, 40)
    write_image(tmp_path / "a.png", screen)
    facts = {}
    for name, more in (("whole", []), ("view", ["--crop-view"])):
        folder = tmp_path / name
        arguments = ("--bundle", tiny_bundle, "--source", tmp_path / "a.png", "--out", folder)
        assert invoke(*arguments, *more).exit_code == 0
        facts[name] = json.loads((folder / "frames.jsonl").read_text())
        assert cv2.imread(str(folder / "masks" / "a.png")).shape[:2] == (300, 600)
    assert facts["view"]["polyp_area_share"] == pytest.approx(3 * facts["whole"]["polyp_area_share"], rel=0.1)
    assert facts["view"]["polyp_area_px"] == pytest.approx(np.pi * 40**2, rel=0.05)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no DISPLAY")
def test_a_window_without_a_display_is_refused(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    clip = write_video(tmp_path / "clip.mp4", frames=2)
    done = invoke("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "out", "--show")
    assert done.exit_code == 2
    assert "needs a display" in done.output


def test_a_window_shows_the_overlay_at_its_size(tiny_bundle: Path, tmp_path: Path) -> None:
    if not (shutil.which("Xvfb") and shutil.which("xwininfo")):
        pytest.skip("no virtual screen: apt install xvfb x11-utils")
    screen = subprocess.Popen(["Xvfb", "-displayfd", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert screen.stdout is not None
    environment = {**os.environ, "DISPLAY": f":{int(screen.stdout.readline())}"}
    arguments = ["--bundle", tiny_bundle, "--source", "synthetic:150", "--out", tmp_path, "--show"]
    command = [*RUN, *map(str, arguments)]
    try:
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
            seen, title = "", '"microaunet - not for clinical use": ()  640x480'
            while running.poll() is None and title not in seen:
                seen = subprocess.run(
                    ["xwininfo", "-root", "-tree"], env=environment, capture_output=True, text=True
                ).stdout
                time.sleep(0.1)
        assert running.returncode == 0
        assert title in seen
    finally:
        screen.kill()
        screen.wait()


def test_a_picture_that_waits_says_so() -> None:
    """What the window shows while no newer frame comes."""
    shown = displayed(result(0, 240, 320))
    waiting = displayed(result(0, 240, 320), waited_s=3.2)
    assert shown.shape == waiting.shape
    red = (waiting[..., 2].astype(int) - waiting[..., 1]) > 100
    assert red[:40].sum() > 500
    assert (shown == 100).all(), "the result itself must stay as it is"


def test_a_port_that_is_taken_ends_the_run_before_anything_is_written(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = invoke(
            *("--bundle", tiny_bundle, "--source", write_video(tmp_path / "clip.mp4")),
            *("--out", tmp_path / "out", "--serve", other.getsockname()[1]),
        )
    assert done.exit_code == 2
    assert "taken by another program" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_a_file_is_served_at_its_own_speed_and_complete(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    clip = write_video(tmp_path / "clip.mp4", frames=20, fps=20)
    began = time.monotonic()
    done = invoke("--bundle", tiny_bundle, "--source", clip, "--out", tmp_path / "out", "--serve", 0)
    assert done.exit_code == 0, done.output
    assert "live page: http://127.0.0.1:" in done.output
    assert time.monotonic() - began >= 0.95
    assert len(play(tmp_path / "out" / "overlay.mp4")) == 20
    assert len(names(tmp_path / "out" / "masks")) == 20


def test_several_videos_are_not_served(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / "in" / name)
    done = invoke(
        *("--bundle", tiny_bundle, "--source", tmp_path / "in", "--out", tmp_path / "out", "--serve", 0)
    )
    assert done.exit_code == 2
    assert "--serve shows one source" in " ".join(done.output.split())


def run_files(bundle: Path, source: Path, out: Path) -> Result:
    return invoke("--bundle", bundle, "--backend", "onnxruntime", "--source", source, "--out", out)


def test_other_images_leave_no_mask_of_the_earlier_ones(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    for name in ("a", "b"):
        write_image(folder / f"{name}.png", polyp_frame(64, 96, 40, 30, 12))
    assert run_files(tiny_bundle, folder, out).exit_code == 0
    (out / "masks" / "mine.png").write_bytes(b"not the program's")
    (folder / "a.png").rename(folder / "c.png")
    assert run_files(tiny_bundle, folder, out).exit_code == 0
    assert names(out / "masks") == ["b.png", "c.png", "mine.png"]
    assert names(out / "overlays") == ["b.png", "c.png"]
    video = write_video(tmp_path / "clip.mp4", frames=2)
    assert run_files(tiny_bundle, video, out).exit_code == 0
    assert names(out / "masks") == ["000000.png", "000001.png", "mine.png"]
    assert names(out / "overlays") == []


def test_a_list_of_results_that_leads_elsewhere_is_not_followed(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    write_image(folder / "a.png", polyp_frame(64, 96, 40, 30, 12))
    out.mkdir()
    kept = [tmp_path / "kept.png", tmp_path / "too.png"]
    for path in kept:
        path.write_bytes(b"kept")
    lines = ["../../kept", str(tmp_path / "too"), 5, None]
    (out / MARK).write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '"half')
    assert run_files(tiny_bundle, folder, out).exit_code == 0
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("source", ["overlay-0001.mp4", "overlays/a.png", "masks", "overlay.mp4"])
def test_a_source_among_the_results_is_refused_and_stays(
    tiny_bundle: Path, tmp_path: Path, source: str
) -> None:
    out = tmp_path / "out"
    (out / "overlays").mkdir(parents=True)
    (out / MARK).touch()
    for name in ("overlay-0001.mp4", "overlay.mp4"):
        write_video(out / name, frames=2)
    for name in ("masks/a.png", "overlays/a.png"):
        write_image(out / name, polyp_frame(64, 96, 40, 30, 12))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = run_files(tiny_bundle, out / source, out)
    assert done.exit_code == 2
    assert "lies among the results" in " ".join(done.output.split())
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_name_cannot_control_the_terminal(tiny_bundle: Path, tmp_path: Path) -> None:
    """An escape code in a file's name cleared the screen, or said that all was well."""
    name = "a\x1b[2J\x1b]0;all is well\x07\u202egpj.png"
    (tmp_path / name).write_bytes(b"no image")
    done = run_files(tiny_bundle, tmp_path / name, tmp_path / "out")
    assert done.exit_code == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(done.output)
    assert r"a\x1b[2J\x1b]0;all is well\x07\u202egpj.png is not a JPEG" in done.output


def test_thousands_of_threads_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    done = invoke("--bundle", tiny_bundle, "--source", "synthetic:2", "--out", tmp_path, "--threads", 3000)
    assert done.exit_code == 2
    assert "256" in done.output
    assert console.MOST_THREADS == MOST_THREADS
