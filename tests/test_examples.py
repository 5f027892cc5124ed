"""The programs of ``examples/`` that no other test runs do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from microaunet_runtime.images import read_image
from microaunet_runtime.images.synthetic import write_set

ROOT = Path(__file__).parent.parent


def example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "export", "runtime"))
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_a_frame_is_segmented_and_a_missing_one_is_named(tmp_path: Path) -> None:
    bundle = ROOT / "benchmarks" / "baselines" / "kvasir"
    write_set(tmp_path / "set", 1)
    (frame,) = (tmp_path / "set" / "images").iterdir()
    target = tmp_path / "overlay.png"
    done = example("frame.py", str(bundle), str(frame), str(target))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("presence ")
    assert read_image(target).shape == read_image(frame).shape
    refused = example("frame.py", str(bundle), str(tmp_path / "absent.png"), str(target))
    assert refused.returncode == 1
    assert "absent.png" in refused.stderr


@pytest.mark.slow
def test_a_network_of_ones_own_becomes_a_bundle_that_checks_itself(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    done = example("own_network.py", str(bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (bundle / "manifest.json").is_file()
