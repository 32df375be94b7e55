"""The VAE in PyTorch: eager, and compiled by Inductor."""

import logging
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from contenders import (
    CONV_FILTERS,
    CONV_HIDDEN,
    EPSILON,
    HIDDEN,
    LATENTS,
    LEARNING_RATE,
    LOG_VAR_BOUNDS,
    SIDE,
    HandIn,
    Round,
    Task,
)


def eager(task: Task, hand_in: HandIn) -> None:
    """Train eagerly, with the fused Adam, which is the faster one here."""
    vae = VAE(task.model)
    optimizer = torch.optim.Adam(vae.parameters(), LEARNING_RATE, eps=EPSILON, fused=True)
    run(task, hand_in, vae, optimizer, optimizer.step)


def compiled(task: Task, hand_in: HandIn) -> None:
    """Train with compiled functions: one for the model, forward and backward, and one for Adam.

    The compiled Adam is faster here than the fused one.
    """
    torch._logging.set_logs(all=logging.ERROR)  # it warns that the profiling hook of the optimizer is not compiled
    torch._inductor.config.compile_threads = 1  # more would leave compiling processes running during the measurement
    vae = VAE(task.model)
    optimizer = torch.optim.Adam(vae.parameters(), LEARNING_RATE, eps=EPSILON)
    run(task, hand_in, torch.compile(vae), optimizer, torch.compile(optimizer.step))


def run(
    task: Task, hand_in: HandIn, vae: nn.Module, optimizer: torch.optim.Optimizer, update: Callable[[], None]
) -> None:
    """Train forever, an epoch per round; the images are resident and every step gathers its own."""
    images = torch.from_numpy(task.training_images()).permute(0, 3, 1, 2)
    while True:
        began = time.perf_counter()
        order = torch.randperm(task.count)[: task.steps * task.batch].reshape(task.steps, task.batch)
        total = torch.zeros(())
        for indices in order:
            optimizer.zero_grad()
            loss = vae(images[indices])
            loss.backward()
            update()
            total += loss.detach()
        mean_loss = total.item() / task.steps
        hand_in(Round(1000 * (time.perf_counter() - began) / task.steps, mean_loss))


class VAE(nn.Module):
    """A VAE whose output is its loss.

    Args:
        model: "mlp" or "conv".
    """

    def __init__(self, model: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = {"mlp": mlp, "conv": conv}[model]()
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):  # initialized as in Keras
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the loss of uint8 images `(batch, 1, height, width)`, dynamically binarized: a scalar in nats."""
        scaled = images.float() / 255
        batch = (torch.rand_like(scaled) < scaled).float()
        mu, log_var = self.encoder(batch).chunk(2, dim=-1)
        low, high = LOG_VAR_BOUNDS
        log_var = high - functional.softplus(high - (low + functional.softplus(log_var - low)))
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        reconstruction = functional.binary_cross_entropy_with_logits(self.decoder(z), batch, reduction="sum")
        kl = 0.5 * (torch.expm1(log_var) - log_var + mu**2).sum()
        return (reconstruction + kl) / len(images)


def mlp() -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder."""
    first, second = HIDDEN
    pixels = SIDE**2
    encoder = [nn.Flatten(), nn.Linear(pixels, first), nn.Tanh(), nn.Linear(first, second), nn.Tanh()]
    decoder = [nn.Linear(LATENTS, second), nn.Tanh(), nn.Linear(second, first), nn.Tanh(), nn.Linear(first, pixels)]
    return (
        nn.Sequential(*encoder, nn.Linear(second, 2 * LATENTS)),
        nn.Sequential(*decoder, nn.Unflatten(1, (1, SIDE, SIDE))),
    )


def conv() -> tuple[nn.Module, nn.Module]:
    """Return encoder and decoder.

    The padding is symmetric. That of Keras's "same" is not, so images are shifted by a pixel.
    """
    few, many = CONV_FILTERS
    quarter = SIDE // 4
    small = (many, quarter, quarter)
    flat = many * quarter**2
    half = {"kernel_size": 3, "stride": 2, "padding": 1}
    twice = {**half, "output_padding": 1}
    encoder = [nn.Conv2d(1, few, **half), nn.ReLU(), nn.Conv2d(few, many, **half), nn.ReLU(), nn.Flatten()]
    encoder += [nn.Linear(flat, CONV_HIDDEN), nn.ReLU(), nn.Linear(CONV_HIDDEN, 2 * LATENTS)]
    decoder = [nn.Linear(LATENTS, CONV_HIDDEN), nn.ReLU(), nn.Linear(CONV_HIDDEN, flat), nn.ReLU()]
    decoder += [nn.Unflatten(1, small), nn.ConvTranspose2d(many, many, **twice), nn.ReLU()]
    decoder += [nn.ConvTranspose2d(many, few, **twice), nn.ReLU(), nn.Conv2d(few, 1, 3, padding=1)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)
