#!/usr/bin/env python3
"""Writes the golden values of the metrics: scikit-learn's and SciPy's.

    pip install numpy scikit-learn==1.9.1 scipy==1.17.1
    python3 trainer/tests/golden/metrics.py
"""

import json
import pathlib

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef


def classes(rng: np.random.Generator, count: int, occurring: int, size: int) -> dict:
    """Answers that are right about half the time; classes from `occurring` on never occur."""
    truth = rng.integers(0, occurring, size)
    predicted = np.where(rng.random(size) < 0.5, truth, rng.integers(0, occurring, size))
    average = "binary" if count == 2 else "macro"
    return {
        "count": count,
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "Accuracy": accuracy_score(truth, predicted),
        "F1": f1_score(truth, predicted, average=average, zero_division=0),
        "Matthews": matthews_corrcoef(truth, predicted),
        "MacroF1": f1_score(truth, predicted, average="macro", zero_division=0),
        "MicroF1": f1_score(truth, predicted, average="micro", zero_division=0),
    }


def sets(truth: np.ndarray, predicted: np.ndarray) -> dict:
    """Rows of 0 and 1, a column per class."""
    return {
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "MacroF1": f1_score(truth, predicted, average="macro", zero_division=0),
        "MicroF1": f1_score(truth, predicted, average="micro", zero_division=0),
        "SubsetAccuracy": accuracy_score(truth, predicted),
    }


def numbers(truth: np.ndarray, predicted: np.ndarray) -> dict:
    return {
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "Pearson": pearsonr(truth, predicted).statistic,
        "Spearman": spearmanr(truth, predicted).statistic,
    }


def main() -> None:
    rng = np.random.default_rng(7)
    smooth, noise = rng.normal(size=40), rng.normal(size=40)
    # Ratings in steps of 0.2, and predictions in steps of 0.5: many ties on both sides.
    ratings = np.round(rng.uniform(0, 5, 60) * 5) / 5
    coarse = np.round((ratings + rng.normal(size=60)) * 2) / 2
    cases = {
        "classes": [
            classes(rng, 2, 2, 50),
            classes(rng, 3, 3, 50),
            classes(rng, 5, 4, 60),
        ],
        "numbers": [
            numbers(smooth, smooth + noise),
            numbers(ratings, coarse),
            # Far from 0, where a one-pass variance would lose its digits.
            numbers(1e6 + smooth, 1e6 - smooth + 0.1 * noise),
        ],
    }
    # The last class never occurs in the truth, the one before nowhere.
    truth = (rng.random((40, 5)) < 0.4) * np.array([1, 1, 1, 0, 0])
    flipped = (rng.random((40, 5)) < 0.3) * np.array([1, 1, 1, 0, 1])
    cases["sets"] = [sets(truth, truth ^ flipped)]
    path = pathlib.Path(__file__).with_name("metrics.json")
    path.write_text(json.dumps(cases, indent=1) + "\n")


main()
