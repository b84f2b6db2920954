"""The scikit-learn side of `bench/pca`: three ways to PCA and their floors, as one line of JSON.

    python bench/peer_pca.py ROWS.f32 FEATURES COMPONENTS

Threads are those of OPENBLAS_NUM_THREADS. Reading the rows and importing are not timed.
"""

import json
import statistics
import sys
import time

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

BATCH = 2_000
REPEATS = 5


def timed(repeats, work):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def error(model, rows):
    """The squared error of the reconstruction, summed over features and averaged over rows."""
    parts = np.array_split(rows, 10)
    squares = (np.square(model.inverse_transform(model.transform(part)) - part, dtype=np.float64) for part in parts)
    return sum(square.sum() for square in squares) / len(rows)


def main():
    file, features, components = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rows = np.fromfile(file, np.float32).reshape(-1, features)
    ways = {
        "exact": (REPEATS, PCA(components)),
        "randomised": (1, PCA(components, svd_solver="randomized", random_state=0)),
        "incremental": (1, IncrementalPCA(components, batch_size=BATCH)),
    }
    seconds, errors = {}, {}
    for name, (repeats, model) in ways.items():
        seconds[name], _ = timed(repeats, lambda: model.fit(rows))
        errors[name] = error(model, rows)
    seconds["product"], scatter = timed(REPEATS, lambda: rows.T @ rows)
    seconds["eigen"], _ = timed(REPEATS, lambda: np.linalg.eigh(scatter))
    print(json.dumps({"seconds": seconds, "errors": errors}))


if __name__ == "__main__":
    main()
