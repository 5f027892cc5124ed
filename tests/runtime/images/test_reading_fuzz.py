"""Twenty thousand damaged images: each is read or refused with an InputError, without a crash or a hang."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microaunet_runtime.errors import InputError
from microaunet_runtime.images import EXTENSIONS, MAX_PIXELS, read_image, read_mask
from microaunet_runtime.images.synthetic import frame

PICTURE, MASK = frame(0, 24, 32)
WHOLE = {
    suffix: [
        cv2.imencode(suffix, image)[1].tobytes()
        for image in (PICTURE, MASK * 255, np.dstack([PICTURE, MASK]))
    ]
    for suffix in sorted(EXTENSIONS - {".jpg", ".jpeg"})
}
WHOLE[".jpg"] = [cv2.imencode(".jpg", image)[1].tobytes() for image in (PICTURE, MASK * 255)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.mark.slow
@settings(
    max_examples=20_000,
    deadline=2000,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(data=st.data())
def test_twenty_thousand_damaged_images(folder: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(sorted(WHOLE)))
    content = data.draw(st.sampled_from(WHOLE[suffix]))
    for _ in range(data.draw(st.integers(1, 3))):
        # Headers are where sizes and types are, so half of the damage goes there.
        at = data.draw(st.integers(0, 64) | st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 8) | st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=12)) + content[at + gone :]
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    for read in (read_image, read_mask):
        with suppress(InputError):
            pixels = read(path)
            assert pixels.dtype == np.uint8
            assert 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
