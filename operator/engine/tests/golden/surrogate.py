"""Writes surrogate.json: what BoTorch says of the SAAS density, predictions and posterior.

Run with botorch 0.18.1, numpyro 0.21.0, jax 0.10.2, gpytorch 1.15.2, torch 2.11.0:

    python surrogate.py > surrogate.json
"""

import json

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np
import torch
from botorch.models.fully_bayesian import SaasFullyBayesianSingleTaskGP
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import potential_energy

FLOOR = 1e-4


def data(n, d, rng):
    """The last dimension is ordinal, the others are bits; row 1 repeats row 0."""
    x = rng.integers(0, 2, (n, d)).astype(float)
    x[:, -1] = rng.integers(0, 11, n) / 10
    x[1] = x[0]
    y = 1.3 * x[:, 0] + np.sin(4 * x[:, -1]) + 0.3 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std(ddof=1)


def model(x, y, noise=None):
    to = lambda v: torch.tensor(v, dtype=torch.float64)
    return SaasFullyBayesianSingleTaskGP(
        to(x), to(y)[:, None], None if noise is None else to(noise)[:, None]
    )


def densities(rng):
    """Log density and gradient in the unconstrained parameters, Jacobians included."""
    cases = []
    for n, d in [(1, 1), (2, 3), (7, 4), (23, 9)]:
        x, y = data(max(n, 2), d, rng)
        x, y = x[:n], y[:n]
        sample = model(x, y).pyro_model.sample

        def log_density(position):
            return -potential_energy(
                sample,
                (),
                {},
                {
                    "mean": position[0],
                    "outputscale": position[1],
                    "noise": position[2],
                    "kernel_tausq": position[3],
                    "_kernel_inv_length_sq": position[4:],
                },
            )

        for _ in range(3):
            position = rng.normal(size=d + 4)
            position[2] -= 2
            value, gradient = jax.value_and_grad(log_density)(jax.numpy.array(position))
            cases.append(
                dict(
                    inputs=x.tolist(),
                    values=y.tolist(),
                    position=position.tolist(),
                    log_density=float(value),
                    gradient=np.asarray(gradient).tolist(),
                )
            )
    return cases


def load(gp, samples):
    gp.load_mcmc_samples({k: torch.tensor(np.asarray(v)) for k, v in samples.items()})
    gp.eval()
    return gp


def predictions(rng):
    """Joint posterior of the latent function at fixed hyperparameters, with inferred and with
    known noise."""
    cases = []
    for n, d, known in [(5, 2, False), (17, 6, False), (17, 6, True)]:
        x, y = data(n, d, rng)
        points = rng.random((4, d))
        points[0] = x[0]
        rho = np.exp(rng.normal(size=d))
        hyper = dict(mean=0.3, outputscale=1.7, noise=0.0 if known else 0.05)
        extra = (0.01 + 0.2 * rng.random(n)) if known else np.zeros(n)
        samples = dict(
            mean=[hyper["mean"]],
            outputscale=[hyper["outputscale"]],
            lengthscale=[rho**-0.5],
        )
        if not known:
            samples["noise"] = [hyper["noise"]]
        gp = load(model(x, y, extra if known else None), samples)
        posterior = gp.posterior(torch.tensor(points))
        cases.append(
            dict(
                inputs=x.tolist(),
                values=y.tolist(),
                extra_noise=extra.tolist(),
                inverse_squared_lengthscales=rho.tolist(),
                points=points.tolist(),
                posterior_mean=posterior.mean.detach().flatten().tolist(),
                posterior_covariance=posterior.distribution.covariance_matrix.detach()[0].tolist(),
                **hyper,
            )
        )
    return cases


def long_chains(rng):
    """The posterior expectation of predicted mean and deviation, from four long chains."""
    x, y = data(25, 5, rng)
    points = rng.random((6, 5))
    means, deviations = [], []
    for seed in range(4):
        gp = model(x, y)
        sampler = MCMC(
            NUTS(gp.pyro_model.sample, dense_mass=True, max_tree_depth=8),
            num_warmup=1000,
            num_samples=4000,
            progress_bar=False,
        )
        sampler.run(jax.random.PRNGKey(seed))
        samples = {k: np.asarray(v)[::4] for k, v in sampler.get_samples().items()}
        inverse = samples.pop("kernel_tausq")[:, None] * samples.pop("_kernel_inv_length_sq")
        samples["lengthscale"] = inverse**-0.5
        samples.pop("kernel_inv_length_sq", None)
        samples["noise"] = samples["noise"] + FLOOR
        posterior = load(gp, samples).posterior(torch.tensor(points))
        means.append(posterior.mean.detach().squeeze(-1).numpy())
        deviations.append(posterior.variance.detach().squeeze(-1).numpy() ** 0.5)
    result = dict(inputs=x.tolist(), values=y.tolist(), points=points.tolist())
    for name, chains in [("mean", means), ("deviation", deviations)]:
        averages = np.array([chain.mean(0) for chain in chains])
        result[name] = averages.mean(0).tolist()
        # The spread of the chains' averages gives the error of their average.
        result[f"{name}_error"] = (averages.std(0, ddof=1) / len(chains) ** 0.5).tolist()
    return result


rng = np.random.default_rng(20240117)
print(
    json.dumps(
        dict(densities=densities(rng), predictions=predictions(rng), posterior=long_chains(rng)),
        indent=1,
    )
)
