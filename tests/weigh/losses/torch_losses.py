"""Losses in PyTorch: recipes as PyTorch users write them, and planted mistakes."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.distributions import Normal, kl_divergence


def lightning_bolts(x_hat, x, mu, std, kl_coeff=0.1):
    """Lightning-Bolts' VAE: F.mse_loss, and the mean of torch.distributions' KL times 0.1."""
    q = Normal(mu, std)
    p = Normal(torch.zeros_like(mu), torch.ones_like(std))
    kl = kl_coeff * kl_divergence(q, p).mean()
    recon_loss = F.mse_loss(x_hat, x, reduction="mean")
    return kl + recon_loss, {"recon_loss": recon_loss, "kl": kl}


def pytorch_vae(recons, input, mu, log_var, kld_weight=0.00025):
    """PyTorch-VAE's vanilla VAE, with the weight that its configuration gives the KL."""
    recons_loss = F.mse_loss(recons, input)
    kld_loss = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
    loss = recons_loss + kld_weight * kld_loss
    return {"loss": loss, "Reconstruction_Loss": recons_loss.detach(), "KLD": -kld_loss.detach()}


class PyTorchVAE(nn.Module):
    """The same as a module, whose arguments have no names."""

    def forward(self, *args, **kwargs):
        return pytorch_vae(*args, kld_weight=kwargs["M_N"])


def pytorch_example(recon_x, x, mu, logvar):
    """The VAE of PyTorch's examples: both terms are sums, over the batch too."""
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def summed_kl(recon_x, x, mu, logvar):
    """The KL is a sum over the batch, and the reconstruction a mean."""
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return F.binary_cross_entropy_with_logits(recon_x, x) + kld


def swapped(recon_x, x, mu, logvar):
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return F.binary_cross_entropy(x, recon_x, reduction="sum") + kld


def single(recon_x, x, mu, logvar):
    """In float32 inside."""
    return pytorch_example(recon_x.float(), x.float(), mu.float(), logvar.float())


def sampling(recon_x, x, mu, logvar):
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    return pytorch_example(recon_x, x, mu, logvar) + z.sum()
