"""A session on a Triton server: the bundle's own answers, and one clear error for whatever else is served."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redness import polyp_frame
from running import invoke
from triton_peer import Answer, TritonPeer

from microaunet_runtime import GateError, InputError, MicroAUNetError, open_session
from microaunet_runtime.errors import MissingDependencyError, ServerGoneError
from microaunet_runtime.inference import triton_client


@pytest.fixture
def peer(tiny_bundle: Path) -> Iterator[TritonPeer]:
    with TritonPeer(tiny_bundle) as running:
        yield running


def test_a_server_gives_what_the_bundle_gives_here(tiny_bundle: Path, peer: TritonPeer) -> None:
    pytest.importorskip("onnxruntime")
    frame = polyp_frame(480, 640, 400, 200, 80)
    with (
        open_session(tiny_bundle, backend="onnxruntime") as here,
        open_session(tiny_bundle, backend="triton", url=peer.url) as there,
    ):
        expected, found = here.run(frame), there.run(frame)
        later = there.run(np.zeros_like(frame))
        assert there.note == f"triton fp32, as requested; tiny version 1, redness at {peer.url}"
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.presence == pytest.approx(expected.presence, abs=1e-5)
    assert found.mask.any()
    assert not later.mask.any()


def test_the_newest_version_is_asked(tiny_bundle: Path, peer: TritonPeer) -> None:
    peer.facts["versions"] = ["9", "10", "2"]
    with open_session(tiny_bundle, backend="triton", url=peer.url) as session:
        assert "tiny version 10," in session.note


def test_frames_go_to_the_server_and_to_no_proxy(
    tiny_bundle: Path, peer: TritonPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with open_session(tiny_bundle, backend="triton", url=peer.url) as session:
        session.run(np.zeros((64, 96, 3), np.uint8))


@pytest.mark.parametrize(
    "url", ["server", "http://server:8001", "server:0", "server:70000", "unix:/tmp/socket", "a b:1", ":8001"]
)
def test_what_is_no_address_is_refused(tiny_bundle: Path, url: str) -> None:
    with pytest.raises(InputError, match="give HOST:PORT of Triton's gRPC service"):
        open_session(tiny_bundle, backend="triton", url=url)


def test_no_server_without_an_address_and_no_address_without_a_server(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="needs the server's address: add --url HOST:PORT"):
        open_session(tiny_bundle, backend="triton")
    for backend in ("auto", "onnxruntime"):
        with pytest.raises(InputError, match="is for a server: add --backend triton"):
            open_session(tiny_bundle, backend=backend, url="localhost:8001")


def test_a_client_that_is_not_installed_is_named(
    tiny_bundle: Path, peer: TritonPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(MissingDependencyError, match=r"install microaunet\[triton\]"):
        open_session(tiny_bundle, backend="triton", url=peer.url)


def test_no_server_is_said_with_its_address(tiny_bundle: Path, peer: TritonPeer) -> None:
    peer.stop()
    with pytest.raises(ServerGoneError, match=rf"no Triton server answers at {peer.url} .*8001"):
        open_session(tiny_bundle, backend="triton", url=peer.url)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "other"}, "serves no model tiny: give it the repository"),
        ({"ready": False}, "does not serve tiny now .*no available versions"),
        ({"versions": []}, "tiny at .* has no version that is ready"),
        (
            {"size": (64, 64)},
            r"gives frame UINT8 \[-1, 64, 64, 3\].*expected frame UINT8 \[-1, 64, 96",
        ),
        ({"parameters": {}}, "tiny at .* was not made from this bundle"),
        ({"parameters": {"fp32_sha256": "0" * 64, "precision": "fp32"}}, "was not made from this bundle"),
    ],
)
def test_what_else_is_served_is_refused(
    tiny_bundle: Path, peer: TritonPeer, wrong: dict[str, Any], said: str
) -> None:
    peer.facts.update(wrong)
    with pytest.raises(InputError, match=said):
        open_session(tiny_bundle, backend="triton", url=peer.url)


def test_another_precision_than_the_served_one_is_refused(tiny_bundle: Path, peer: TritonPeer) -> None:
    with pytest.raises(InputError, match="serves fp32, not fp16"):
        open_session(tiny_bundle, backend="triton", precision="fp16", url=peer.url)
    peer.facts["parameters"]["precision"] = "int4"
    with pytest.raises(InputError, match="says precision 'int4', which the bundle lacks"):
        open_session(tiny_bundle, backend="triton", url=peer.url)


def changed(name: str, change: Any) -> Any:
    """A twist of one output's values."""

    def twist(answer: Answer) -> Answer:
        kind, values = answer[name]
        return {**answer, name: (kind, change(values))}

    return twist


def test_other_answers_on_golden_frames_are_a_failed_gate(tiny_bundle: Path, peer: TritonPeer) -> None:
    peer.twist = changed("presence", lambda values: values * np.float32(0.9))
    with pytest.raises(GateError, match=r"other answers on golden frames \(a presence differs"):
        open_session(tiny_bundle, backend="triton", url=peer.url)


@pytest.mark.parametrize(
    ("twist", "said"),
    [
        (changed("probability", lambda values: values[:, :, :32]), "gave a probability that cannot be used"),
        (changed("mask", lambda values: values.astype(np.float32)), "gave a mask that cannot be used"),
        (changed("probability", lambda values: values * np.float32("nan")), "probabilities from nan"),
        (changed("mask", lambda values: values + np.uint8(2)), "a mask that holds 3"),
        (lambda answer: {"mask": answer["mask"]}, "gave a probability .*nothing"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_an_error(
    tiny_bundle: Path, peer: TritonPeer, twist: Any, said: str
) -> None:
    peer.twist = twist
    with pytest.raises(MicroAUNetError, match=said):
        open_session(tiny_bundle, backend="triton", url=peer.url)


def test_a_larger_answer_than_the_contract_allows_is_not_read(tiny_bundle: Path, peer: TritonPeer) -> None:
    peer.twist = changed("probability", lambda values: np.zeros((1, 1, 2048, 2048), np.float32))
    with pytest.raises(MicroAUNetError, match=r"larger than max"):
        open_session(tiny_bundle, backend="triton", url=peer.url)


def test_a_server_that_hangs_counts_as_gone(
    tiny_bundle: Path, peer: TritonPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.zeros((64, 96, 3), np.uint8)
    with open_session(tiny_bundle, backend="triton", url=peer.url) as session:
        monkeypatch.setattr(triton_client, "ANSWER_S", 0.2)
        peer.before = lambda number: time.sleep(1)
        with pytest.raises(ServerGoneError, match=f"the Triton server at {peer.url} is gone"):
            session.run(frame)
        peer.before = lambda number: None
        with pytest.raises(ServerGoneError):  # what answers now may be another one
            session.run(frame)


def test_the_self_test_checks_what_is_served(tiny_bundle: Path, peer: TritonPeer) -> None:
    arguments = ("--bundle", tiny_bundle, "--self-test", "--backend", "triton", "--url", peer.url)
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    assert "passed" in done.output
    peer.stop()
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert "nothing could be checked here: no Triton server answers" in " ".join(done.output.split())
