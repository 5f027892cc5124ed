"""Segment one image and write it with its outline.

    python examples/frame.py bundle frame.png overlay.png

Needs what ``pip install '.[cpu]'`` brings, and a bundle written by ``microaunet-export``. Research
software, not a medical device, not for clinical use.
"""

from __future__ import annotations

import sys

import cv2

import microaunet_runtime


def main(bundle: str, source: str, target: str) -> None:
    """Print what the network says of the frame, and draw the outline of what it shows."""
    frame = cv2.imread(source)
    if frame is None:
        sys.exit(f"error: {source} is not an image that OpenCV reads")
    with microaunet_runtime.open_session(bundle) as session:
        prediction = session.run(frame, bgr=True)
    share = prediction.mask.mean()
    print(f"presence {prediction.presence:.3f}, polyp on {100 * share:.1f} % of the frame")
    outlines, _ = cv2.findContours(prediction.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.imwrite(target, cv2.drawContours(frame, outlines, -1, (0, 255, 0), 2))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except microaunet_runtime.MicroAUNetError as error:
        sys.exit(f"error: {error}")
