"""The measures of the PraNet toolbox, computed by pysodmetrics, for comparison with papers only.

They stretch every probability map to its own extremes and average over 256 thresholds, so they are not what a
device shows: that is ``dice_image``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..optional import require
from .metrics import interval


class PranetMeasures:
    """Collects frames that hold a polyp; without one these measures are undefined.

    Raises:
        MissingDependencyError: pysodmetrics is not installed.
    """

    def __init__(self) -> None:
        library = require("py_sod_metrics", "install microaunet[pranet]")
        self._dice = library.DICEHandler(with_dynamic=True, with_adaptive=False)
        self._iou = library.IOUHandler(with_dynamic=True, with_adaptive=False)
        self._thresholds = library.FmeasureV2({"dice": self._dice, "iou": self._iou})
        self._weighted = library.WeightedFmeasure()
        self._structure = library.Smeasure()
        self._alignment = library.Emeasure()
        self._error = library.MAE()

    def add(self, probability: np.ndarray, truth: np.ndarray) -> None:
        """Add a frame: probability, float32 (h, w), and ground truth of 0 and 1, uint8 (h, w)."""
        low, high = float(probability.min()), float(probability.max())
        # 1e-8 as in PraNet's test script: a flat map becomes all 0. 8 bits: it scores maps stored as PNG.
        stretched = ((probability - low) / (high - low + 1e-8) * 255).astype(np.uint8)
        for measure in (self._thresholds, self._weighted, self._structure, self._alignment, self._error):
            measure.step(pred=stretched, gt=truth * np.uint8(255))

    def summary(self) -> dict[str, Any]:
        """The means as {mean, low, high}; ``e_measure_max``, the largest of a mean curve, has no interval."""
        if not self._error.maes:
            return {"images": 0}
        return {
            "images": len(self._error.maes),
            "dice_pranet": interval(np.mean(self._dice.dynamic_results, axis=1)),
            "iou_pranet": interval(np.mean(self._iou.dynamic_results, axis=1)),
            "weighted_f": interval(self._weighted.weighted_fms),
            "s_measure": interval(self._structure.sms),
            "e_measure": interval(np.mean(self._alignment.changeable_ems, axis=1)),
            "e_measure_max": float(np.mean(self._alignment.changeable_ems, axis=0).max()),
            "mae": interval(self._error.maes),
        }
