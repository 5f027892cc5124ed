"""What the export writes for Triton, on a real Triton server, and a run on it that the server leaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from running import invoke
from small_network import SIZE
from triton_server import TritonProcess

from microaunet_export import triton
from microaunet_runtime import Session, open_session
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import ServerGoneError
from microaunet_runtime.images import synthetic

pytestmark = pytest.mark.slow


@pytest.fixture
def server(bundle_folder: Path, tmp_path: Path) -> Iterator[TritonProcess]:
    triton.write(Bundle(bundle_folder), tmp_path / "models")
    with TritonProcess(tmp_path / "models" / "onnxruntime", tmp_path) as running:
        wait_until_it_serves(bundle_folder, running).close()
        yield running


def wait_until_it_serves(bundle: Path, server: TritonProcess) -> Session:
    deadline = time.monotonic() + 90
    while True:
        try:
            return open_session(bundle, backend="triton", url=server.url)
        except ServerGoneError:
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.5)


def test_a_real_server_gives_what_the_bundle_gives_here(bundle_folder: Path, server: TritonProcess) -> None:
    pictures = [synthetic.frame(seed, 2 * SIZE, 3 * SIZE)[0] for seed in range(6)]
    with (
        open_session(bundle_folder, backend="onnxruntime", presence=0) as here,
        open_session(bundle_folder, backend="triton", url=server.url, presence=0) as there,
    ):
        for picture in pictures:
            expected, found = here.run(picture), there.run(picture)
            np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)
            assert found.presence == pytest.approx(expected.presence, abs=1e-5)
            assert (found.mask != expected.mask).mean() < 1e-3


def test_frames_of_several_clients_are_run_together_and_stay_apart(
    bundle_folder: Path, server: TritonProcess
) -> None:
    pictures = [synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(4)]
    with open_session(bundle_folder, backend="onnxruntime", presence=0) as here:
        expected = [here.probability(picture) for picture in pictures]
    found: list[list[np.ndarray]] = [[] for _ in pictures]

    def ask(number: int) -> None:
        with open_session(bundle_folder, backend="triton", url=server.url) as session:
            found[number] = [session.probability(pictures[number]) for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers, right in zip(found, expected, strict=True):
        assert len(answers) == 10
        for answer in answers:
            np.testing.assert_allclose(answer, right, atol=1e-5)


def test_a_server_that_is_killed_and_started_again_loses_no_frame_of_a_file(
    bundle_folder: Path, server: TritonProcess, tmp_path: Path
) -> None:
    synthetic.write_set(tmp_path / "data", 300, seed=5, height=SIZE, width=SIZE)

    def kill() -> None:
        masks = tmp_path / "out" / "masks"
        deadline = time.monotonic() + 60
        while not (masks.exists() and len(list(masks.iterdir())) > 20):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.kill()
        server.start()

    thread = threading.Thread(target=kill)
    thread.start()
    done = invoke(
        *("--bundle", bundle_folder, "--backend", "triton", "--url", server.url, "--no-overlay"),
        *("--source", tmp_path / "data" / "images", "--out", tmp_path / "out"),
        *("--json", tmp_path / "run.json"),
    )
    thread.join()
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run.json").read_text())
    assert (told["frames"], told["outages"], told["lost"]) == (300, 1, 0)
    assert any("the server is back after" in event["what"] for event in told["events"])
