"""Times BoTorch's fit on the data of the `fit` benchmark; `--write` makes that data first.

Run with botorch 0.18.1 and numpyro 0.21.0, in the session of `cargo bench`:

    python botorch_fit.py           # BoTorch as it comes: single precision in JAX
    python botorch_fit.py --double  # in double precision, as the engine works
"""

import json
import math
import pathlib
import random
import sys
import time

DATA = pathlib.Path(__file__).parent / "data.json"


def write():
    """12 layer bits and 3 sizes of 11 steps; 4 dimensions matter."""
    draw = random.Random(0)
    inputs, values = [], []
    for _ in range(199):
        x = [float(draw.randrange(2)) for _ in range(12)]
        x += [draw.randrange(11) / 10 for _ in range(3)]
        inputs.append(x)
        signal = 1.2 * x[3] - x[7] + math.sin(3 * x[12]) + 0.5 * x[13] * x[3]
        values.append(round(signal + 0.3 * draw.gauss(0, 1), 6))
    rows = ",\n".join(json.dumps(x) for x in inputs)
    DATA.write_text(f'{{"inputs": [\n{rows}\n],\n"values": {json.dumps(values)}}}\n')


def main():
    if "--write" in sys.argv:
        write()
    if "--double" in sys.argv:
        import jax

        jax.config.update("jax_enable_x64", True)
    import torch
    from botorch.fit import fit_fully_bayesian_model_nuts
    from botorch.models.fully_bayesian import SaasFullyBayesianSingleTaskGP

    data = json.loads(DATA.read_text())
    x = torch.tensor(data["inputs"], dtype=torch.float64)
    y = torch.tensor(data["values"], dtype=torch.float64)[:, None]
    for n in [100, 199]:
        values = (y[:n] - y[:n].mean()) / y[:n].std()
        for seed in range(2):
            gp = SaasFullyBayesianSingleTaskGP(x[:n], values)
            start = time.perf_counter()
            fit_fully_bayesian_model_nuts(
                gp, warmup_steps=256, num_samples=128, thinning=16, disable_progbar=True, seed=seed
            )
            print(f"n = {n}, seed {seed}: {time.perf_counter() - start:.2f} s", flush=True)


main()
