"""What `make` and CI bring in from outside is pinned: every file by hash, every action by commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

tomllib = pytest.importorskip("tomllib", reason="make needs Python 3.11")

ROOT = Path(__file__).parents[1]
REFRESH = "run make lock"


def locked(name: str) -> dict[str, tuple[Version, list[str]]]:
    """Version and hashes by package of a file in requirements/, as far as it is for this platform."""
    found = {}
    for line in re.split(r"\n(?=\w)", (ROOT / "requirements" / name).read_text().split("\n", 1)[1]):
        asked = Requirement(line.split(" \\")[0])
        if asked.marker is None or asked.marker.evaluate():
            (version,) = asked.specifier
            found[asked.name] = (
                Version(version.version),
                re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line),
            )
    return found


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for with the extras that `make` installs, and to build the wheel."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = content["project"]["optional-dependencies"]
    waiting = [*content["build-system"]["requires"], *content["project"]["dependencies"], *extras["dev"]]
    waiting += extras["all"]
    found = []
    while waiting:
        one = Requirement(waiting.pop())
        if one.name == "microaunet":
            waiting += [each for extra in one.extras for each in extras[extra]]
        elif one.marker is None or one.marker.evaluate():
            found.append(one)
    return found


@pytest.mark.parametrize("name", ["locked.txt", "cuda.txt", "torch-cpu.txt", "sbom.txt"])
def test_every_package_has_hashes(name: str) -> None:
    assert all(hashes for _, hashes in locked(name).values())


def test_what_is_locked_is_what_is_asked_for() -> None:
    have = locked("locked.txt")
    for one in wanted():
        assert one.name in have, f"{one.name} is not locked: {REFRESH}"
        assert one.specifier.contains(have[one.name][0]), f"{one}, locked is {have[one.name][0]}: {REFRESH}"
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert name not in have or have[name][0] == Version(version), f"{line}: {REFRESH}"


def test_the_cpu_build_of_torch_is_of_the_locked_version() -> None:
    """It is installed first; another version would be replaced by PyPI's."""
    assert locked("torch-cpu.txt")["torch"][0].public == str(locked("locked.txt")["torch"][0])


def test_every_action_is_pinned_by_commit_and_says_its_version() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses: (.*)", workflow.read_text()):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), f"{workflow}: {used}"


def test_the_job_on_a_machine_of_ours_asks_its_environment() -> None:
    """Its branches are set there, where no branch can change them."""
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    own = {name: job for name, job in jobs.items() if "self-hosted" in job["runs-on"]}
    assert own
    assert all(job["environment"] and "refs/heads/main" in job["if"] for job in own.values())
