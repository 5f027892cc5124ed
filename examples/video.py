"""Segment a video in Python and say when a polyp is in view.

    python examples/video.py bundle video.mp4

Needs what ``pip install 'microaunet[cpu]'`` brings, and a bundle written by ``microaunet-export``. Research
software, not a medical device, not for clinical use.
"""

from __future__ import annotations

import sys

import microaunet_runtime


def main(bundle: str, source: str) -> None:
    """Print a line for each region when it appears, and how many there were."""
    last = None
    for result in microaunet_runtime.stream(source, bundle, stabilise=True):
        for region in result.regions:
            if region.frames == 1:
                print(
                    f"{result.frame.time_s:7.2f} s  region {region.id} appears at "
                    f"({region.x}, {region.y}), {region.width} x {region.height} px, "
                    f"{100 * region.share:.1f} % of the frame"
                )
        last = result
    if last is not None:
        print(f"{last.frame.index + 1} frames, {last.region_count} regions")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except microaunet_runtime.MicroAUNetError as error:
        sys.exit(f"error: {error}")
