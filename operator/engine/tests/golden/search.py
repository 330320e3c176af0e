"""Writes search.json: the log expected improvement by mpmath, hypervolumes and noisy expected
hypervolume improvements by BoTorch.

Run with botorch 0.18.1, gpytorch 1.15.2, torch 2.11.0, mpmath 1.3.0:

    python search.py > search.json

The improvements are for one Gaussian process with given hyperparameters (the score) and one
deterministic linear function of the input (the cost). BoTorch samples the candidate, so that its
values carry a Monte Carlo error: `error` is the standard deviation over 8 sampler seeds of the
mean of qNEHVI, divided by the square root of 8.
"""

import json
import warnings

import mpmath
import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import (
    qLogNoisyExpectedHypervolumeImprovement,
)
from botorch.acquisition.multi_objective.monte_carlo import (
    qNoisyExpectedHypervolumeImprovement,
)
from botorch.models import ModelList, SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.sampling.get_sampler import get_sampler
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.means import ConstantMean

warnings.simplefilter("ignore")
torch.set_default_dtype(torch.float64)
SAMPLES, SEEDS = 4096, 8


def ln_taus():
    mpmath.mp.dps = 60
    points = [-1000, -60, -38.5, -25.5, -24.5, -12, -5, -1.5, -1, -0.3, 0, 0.7, 3, 8.5, 9.5, 30]
    tau = lambda z: mpmath.npdf(z) + z * mpmath.ncdf(z)
    # z Φ(z) cancels against φ(z) to about 1/z²: 60 digits are more than that costs.
    return [[float(z), float(mpmath.log(tau(mpmath.mpf(z))))] for z in points]


def hypervolumes(rng):
    cases = []
    for n in [1, 2, 5, 20]:
        points = np.round(rng.uniform(0, 1, (n, 2)) * [1, 6], 2)
        reference = [0.1, 5.5]
        y = torch.tensor(points * [1, -1])
        front = y[is_non_dominated(y)]
        value = Hypervolume(torch.tensor([reference[0], -reference[1]])).compute(front)
        cases.append({"points": points.tolist(), "reference": reference, "value": value})
    return cases


def improvements(rng):
    cases = []
    for n, pending, noise in [(6, 0, 0.1), (12, 2, 0.3), (10, 1, 0.001)]:
        d = 4
        x = rng.integers(0, 2, (n + pending + 6, d)).astype(float)
        x[:, -1] = rng.integers(0, 11, len(x)) / 10
        weights = np.array([1.0, 1.0, 1.0, 3.0])
        y = x[:n, 0] + np.sin(3 * x[:n, -1]) + noise**0.5 * rng.standard_normal(n)
        y = (y - y.mean()) / y.std(ddof=1)
        rho = np.array([1.5, 0.1, 0.01, 4.0])
        mean, outputscale = 0.2, 1.3
        to = torch.tensor
        kernel = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=d))
        kernel.outputscale = outputscale
        kernel.base_kernel.lengthscale = to(rho**-0.5)
        constant = ConstantMean()
        constant.constant.data.fill_(mean)
        gp = SingleTaskGP(
            to(x[:n]), to(y)[:, None], covar_module=kernel, mean_module=constant, outcome_transform=None
        )
        gp.likelihood.noise = noise
        gp.eval()
        cost = GenericDeterministicModel(lambda X: -(X @ to(weights))[..., None], num_outputs=1)
        model = ModelList(gp, cost)
        reference = [-0.8, 5.3]
        common = {
            "ref_point": [reference[0], -reference[1]],
            "X_baseline": to(x[: n + pending]),
            "prune_baseline": False,
            "cache_root": False,
        }
        candidates = to(x[n + pending :])[:, None, :]

        def value(kind, seed, **options):
            sampler = get_sampler(
                model.posterior(to(x[:n])), torch.Size([SAMPLES]), seed=seed
            )
            with torch.no_grad():
                return kind(model, sampler=sampler, **common, **options)(candidates).numpy()

        plain = np.array([value(qNoisyExpectedHypervolumeImprovement, s) for s in range(SEEDS)])
        log = np.mean(
            [
                value(qLogNoisyExpectedHypervolumeImprovement, s, tau_max=1e-4, fat=False)
                for s in range(2)
            ],
            axis=0,
        )
        cases.append(
            {
                "inputs": x[:n].tolist(),
                "values": y.tolist(),
                "pending": x[n : n + pending].tolist(),
                "candidates": x[n + pending :].tolist(),
                "cost_weights": weights.tolist(),
                "mean": mean,
                "outputscale": outputscale,
                "noise": noise,
                "inverse_squared_lengthscales": rho.tolist(),
                "reference": reference,
                "nehvi": plain.mean(0).tolist(),
                "error": (plain.std(0, ddof=1) / SEEDS**0.5).tolist(),
                "log_nehvi": log.tolist(),
            }
        )
    return cases


rng = np.random.default_rng(20240612)
print(
    json.dumps(
        {
            "ln_tau": ln_taus(),
            "hypervolume": hypervolumes(rng),
            "nehvi": improvements(rng),
        },
        indent=1,
    )
)
