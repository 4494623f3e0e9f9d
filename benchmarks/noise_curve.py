"""How the closed form and gradient matching fall with noise on the gradient.

    python -m benchmarks.noise_curve --data FOLDER [--first 0] [--count 10] [--json FILE] [--plot FILE.png]

Gaussian noise on each entry; its level is the norm of the noise over the norm of the gradient.
FOLDER (or the environment variable CIFAR10_SHEETS) holds CIFAR-10 as sheets (see ``lab.client.datasets.sheets``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from benchmarks.plots import save
from benchmarks.recursive import Case, Row, arguments, keep, pictures, run
from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.recursive import Recursive
from lab.client.batch import Batch
from lab.federated.networks.small_convnet import SmallConvNet

LEVELS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
ATTACKS: Mapping[str, Attack] = {"closed form": Recursive(hand_over=False), "gradient matching": GradientMatching()}


def measure(batch: Batch, level: float) -> dict[str, Row]:
    """Both attacks on the same noisy gradients of the untrained small ConvNet."""
    return {name: run(Case(SmallConvNet(), noise=level, attack=attack), batch) for name, attack in ATTACKS.items()}


def draw(curves: Mapping[str, Mapping[float, Row]]) -> Figure:
    """The median PSNR over the noise, one line an attack, with the range from the worst picture to the best."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="noise, as a share of the gradient's length", ylabel="PSNR, dB")
    for name, curve in curves.items():
        levels, rows = list(curve), list(curve.values())
        axes.plot(levels, [row.median_db for row in rows], marker="o", label=name)
        axes.fill_between(levels, [min(row.psnr_db) for row in rows], [max(row.psnr_db) for row in rows], alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def main() -> None:
    """Print a line for each level and attack."""
    parser = arguments(__doc__, 10)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    batch = pictures(parser, chosen)
    torch.set_num_threads(1)
    curves: dict[str, dict[float, Row]] = {name: {} for name in ATTACKS}
    for level in LEVELS:
        for name, row in measure(batch, level).items():
            curves[name][level] = row
            seconds = f"{row.median_cpu_seconds:.2f} CPU s"
            print(f"noise {level:g}, {name}: median {row.median_db:.1f} dB, least {row.least_db:.1f} dB, {seconds}", flush=True)
        keep({f"{name} at {at:g}": row for name, curve in curves.items() for at, row in curve.items()}, chosen.json)
    if chosen.plot:
        save(draw(curves), chosen.plot)


if __name__ == "__main__":
    main()
