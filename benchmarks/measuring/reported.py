"""Which test sets each of the shipped weights is reported on.

Only programs that report figures read the test sets: the cards, repeats of a recipe and exported files.
"""

from __future__ import annotations

from pathlib import Path

from microaunet.data import lists
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import Pair, find_pairs

# Of weights that were trained on all three sets.
TEST_LISTS = {
    "kvasir_test": "kvasir-test",
    "clinicdb_sequence_test": "clinicdb-sequence-test",
    "polypgen_test": "polypgen-test",
}

# What each set of weights may be reported on: figure -> committed list, or every frame of a folder.
REPORTED: dict[str, dict[str, str]] = {
    "general": TEST_LISTS,
    "lite": TEST_LISTS,
    "kvasir-lite": {"kvasir_test": "kvasir-test", "clinicdb_unseen": "cvc-clinicdb/"},
    "kvasir-wide": {"kvasir_test": "kvasir-test"},
    "kvasir": {"kvasir_test": "kvasir-test", "clinicdb_unseen": "cvc-clinicdb/"},
    "clinicdb": {"clinicdb_random_test": "clinicdb-random-test"},
    "clinicdb-sequence": {"clinicdb_sequence_test": "clinicdb-sequence-test"},
    "joint": {
        "kvasir_test": "kvasir-test",
        "clinicdb_sequence_test": "clinicdb-sequence-test",
        "polypgen_unseen": "polypgen/",
    },
}


def reported(name: str) -> dict[str, str]:
    """What weights are reported on: shipped ones by name, a run's file by the name of the run's folder.

    Weights that are fine-tuned for INT8, in ``NAME-qat`` or ``NAME-qat-2``, are reported on what ``NAME`` is.

    Raises:
        InputError: the weights are not in the table.
    """
    known = name if name in REPORTED else Path(name).parent.name.partition("-qat")[0]
    if known not in REPORTED:
        raise InputError(f"{name!r} has no test sets to report on: choose among {', '.join(REPORTED)}")
    return REPORTED[known]


def reported_pairs(source: str, data: Path) -> list[Pair]:
    """The frames of a committed list, or all of a folder whose name ends in a slash."""
    if source.endswith("/"):
        return find_pairs(data / source)
    frames, _ = lists.resolve([source], data)
    return [frame.pair for frame in frames]
