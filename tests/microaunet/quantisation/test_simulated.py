"""INT8's rounding in training: at the places of the export, with its values."""

from __future__ import annotations

import copy

import pytest
import torch

from microaunet.models import create
from microaunet.quantisation.rounding import best_step, rounded, rounded_by_channel
from microaunet.quantisation.simulated import SimulatedInt8
from microaunet_runtime.errors import InputError

SIZE = 64


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def simulated(frames: torch.Tensor) -> SimulatedInt8:
    torch.manual_seed(0)
    network = create("edge-presence")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.3, 1.0)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    return SimulatedInt8(network, frames)


def test_values_are_rounded_to_steps_and_clipped() -> None:
    x = torch.tensor([-300.0, -0.74, 0.26, 0.74, 300.0], requires_grad=True)
    made = rounded(x, torch.tensor(0.5))
    assert made.tolist() == [-64.0, -0.5, 0.5, 0.5, 63.5]
    made.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_a_step_learns_from_what_it_rounds_and_what_it_clips() -> None:
    x = torch.tensor([0.2, 0.3, 5.0, 400.0])
    step = torch.tensor(1.0, requires_grad=True)
    rounded(x, step).sum().backward()
    assert step.grad is not None
    # Rounded less what it was, over the step; what is clipped moves with the highest value.
    expected = (0 - 0.2) + (0 - 0.3) + 0 + 127
    assert step.grad.item() == pytest.approx(expected / (4 * 127) ** 0.5, rel=1e-5)


def test_each_channel_of_weights_has_its_own_step() -> None:
    weight = torch.tensor([[1.0, 0.004], [127.0, 0.4]])
    assert torch.allclose(rounded_by_channel(weight), torch.tensor([[1.0, 1 / 127], [127.0, 0.0]]))


def test_the_best_step_clips_rare_high_values_and_nothing_else() -> None:
    values = torch.linspace(-1, 1, 1_000_001)
    assert best_step(values) == pytest.approx(1 / 127)
    assert best_step(torch.cat([values, torch.tensor([2.0])])) < 1.5 / 127


def test_it_computes_what_the_network_does_but_for_the_rounding(
    simulated: SimulatedInt8, frames: torch.Tensor
) -> None:
    with torch.no_grad():
        logits, features = simulated.network(frames, return_features=True)
        found, found_features = simulated(frames, return_features=True)
    assert 0 < (found - logits).abs().mean() < 0.1 * logits.std()
    assert [feature.shape for feature in found_features] == [feature.shape for feature in features]
    assert torch.equal(simulated(frames), found)
    assert simulated.presence is simulated.network.presence


def test_batch_norms_stand_still_in_training(simulated: SimulatedInt8, frames: torch.Tensor) -> None:
    evaluated = simulated.eval()(frames)
    before = copy.deepcopy(simulated.network.state_dict())
    assert torch.equal(simulated.train()(frames), evaluated)
    assert all(torch.equal(value, before[name]) for name, value in simulated.network.state_dict().items())


def test_every_parameter_but_the_presence_heads_learns(
    simulated: SimulatedInt8, frames: torch.Tensor
) -> None:
    simulated(frames).square().mean().backward()
    idle = [name for name, parameter in simulated.network.named_parameters() if parameter.grad is None]
    assert idle == ["presence.linear.weight", "presence.linear.bias"]


def test_settled_weights_lose_nothing_in_int8(simulated: SimulatedInt8, frames: torch.Tensor) -> None:
    before, in_float = simulated(frames), simulated.compute_in_float(frames)
    assert not torch.allclose(simulated.network(frames), in_float, atol=1e-3)
    simulated.settle()
    assert torch.allclose(simulated.network(frames), in_float, atol=1e-4)
    assert (simulated(frames) - before).abs().mean() < 1e-3 * before.std()


def test_what_an_identity_passes_on_counts_as_the_tensor_itself(frames: torch.Tensor) -> None:
    class Passing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
            self.lateral, self.second = torch.nn.Identity(), torch.nn.Conv2d(4, 4, 1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.first(x))
            return self.lateral(y) + self.second(y)

    simulated = SimulatedInt8(Passing(), frames)
    assert len(simulated.places.shortcuts) == 1
    assert simulated(frames).shape == (4, 4, SIZE, SIZE)


def test_a_copy_follows_its_own_parameters(simulated: SimulatedInt8, frames: torch.Tensor) -> None:
    """The moving average of a run is a deep copy."""
    other, before = copy.deepcopy(simulated), simulated(frames)
    with torch.no_grad():
        other.network.head.bias.add_(1)
    assert torch.allclose(other(frames), before + 1, atol=1e-4)
    assert torch.equal(simulated(frames), before)


def test_a_convolution_is_left_in_float_by_its_path(simulated: SimulatedInt8, frames: torch.Tensor) -> None:
    kept = "stages.0.0.pointwise.0"
    partly = SimulatedInt8(simulated.network, frames, [kept])
    assert {kept, "presence.linear"} <= set(partly.facts()["in_float"])
    assert kept not in partly.facts()["ranges"]
    with pytest.raises(InputError, match=r"no convolution 'stages\.9'"):
        SimulatedInt8(simulated.network, frames, ["stages.9"])


def test_a_network_that_looks_at_its_data_is_refused(frames: torch.Tensor) -> None:
    class Looking(torch.nn.Module):
        def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return x if x.mean() > 0 else -x

    with pytest.raises(InputError, match="INT8 cannot be simulated in Looking"):
        SimulatedInt8(Looking(), frames)
