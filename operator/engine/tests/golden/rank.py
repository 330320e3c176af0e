"""Writes rank.json: what SciPy says of Kendall's tau-b.

Run with scipy 1.17.1:

    python rank.py > rank.json
"""

import json
import math

import numpy as np
from scipy.stats import kendalltau, norm


def interval(tau, n):
    """Fieller, Hartley and Pearson (1957), by scipy's normal quantile."""
    reach = norm.ppf(0.975) * math.sqrt(0.437 / (n - 4))
    return [math.tanh(math.atanh(tau) - reach), math.tanh(math.atanh(tau) + reach)]


def case(x, y):
    tau = float(kendalltau(x, y, variant="b").statistic)
    found = {"x": [float(v) for v in x], "y": [float(v) for v in y]}
    found["tau"] = None if math.isnan(tau) else tau
    # At the ends of the scale our interval is another one.
    if len(x) >= 5 and abs(tau) < 0.9:
        found["interval"] = interval(tau, len(x))
    return found


rng = np.random.default_rng(7)
cases = [
    case([1, 2], [3, 4]),
    case([1, 2], [4, 3]),
    case([1, 2, 3], [5, 5, 5]),
    case([1, 1, 2, 2], [1, 2, 1, 2]),
    case([0.0, -0.0, 1.0], [1.0, 2.0, 3.0]),
    case([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
]
for n in [4, 5, 9, 16, 40]:
    x = rng.standard_normal(n)
    y = x + rng.standard_normal(n)
    cases.append(case(x, y))
    cases.append(case(np.round(x), np.round(2 * y) / 2))
print(json.dumps(cases, indent=1))
