"""A network of your own, from PyTorch to a verified bundle.

    python examples/own_network.py own-bundle

Needs what ``pip install '.[export]'`` brings. The network is untrained: the bundle shows the way, not polyps.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn


class SmallNetwork(nn.Module):
    """Two scales and a skip. Takes float32 (N, 3, H, W) in 0..1, returns logits (N, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.coarse = nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1)
        )
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        coarse = nn.functional.interpolate(self.coarse(fine), scale_factor=2.0, mode="nearest")
        return self.head(fine + coarse)


def main(bundle: str) -> None:
    """Save the network's weights and export them with the command; its exit code is passed on."""
    torch.manual_seed(0)
    weights = Path(f"{bundle}-weights.safetensors")
    save_file(SmallNetwork().state_dict(), weights)
    command = ["-m", "microaunet_export.commands.export", "--network", "own_network:SmallNetwork"]
    arguments = ["--weights", str(weights.resolve()), "--size", "64", "--out", str(Path(bundle).resolve())]
    # The factory is looked up in the folder that the command runs in.
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, *command, *arguments], cwd=here, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1])
