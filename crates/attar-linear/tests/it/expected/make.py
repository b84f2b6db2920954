"""Writes table.txt: a small asymmetric data set and what scikit-learn, SciPy and NumPy say of it.

    pip install scikit-learn==1.9.* scipy && python make.py

Each line of the table is a name, then its values in row-major order.
"""

from pathlib import Path

import numpy as np
import scipy.stats
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

ROWS, FEATURES, CLASSES = 40, 5, 3
rng = np.random.default_rng(7)
labels = np.array([0] * 20 + [1] * 13 + [2] * 7)
centres = np.array([[0, 0, 3, 10, 1], [1, -2, 3, 12, 1.5], [-1, 1, 4, 9, 2]])
mixing = rng.normal(size=(FEATURES, FEATURES)) * np.array([3, 2, 1, 0.5, 0.1])
x = (centres[labels] + rng.normal(size=(ROWS, FEATURES)) @ mixing).astype(np.float32)
queries = (centres[np.arange(12) % 3] + rng.normal(size=(12, FEATURES)) @ mixing).astype(np.float32)
targets = x @ np.array([1.0, -2.0, 0.5, 0.0, 3.0]) + rng.normal(size=ROWS)
wide = rng.normal(size=(9, 14)).astype(np.float32) * np.arange(1, 15, dtype=np.float32)
wide_labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 0])

table = {"x": x, "labels": labels, "queries": queries, "targets": targets, "wide": wide, "wide_labels": wide_labels}


def logistic(name, x, labels, l2):
    scaler = StandardScaler().fit(x.astype(np.float64))
    model = LogisticRegression(C=1 / l2, tol=1e-12, max_iter=100_000).fit(scaler.transform(x), labels)
    weight = model.coef_ / scaler.scale_
    table[f"logistic_{name}_weight"] = weight
    table[f"logistic_{name}_bias"] = model.intercept_ - weight @ scaler.mean_


logistic("strong", x, labels, 10.0)
logistic("weak", x, labels, 0.5)
logistic("wide", wide, wide_labels, 2.0)

for l2 in (0.1, 25.0):
    scaler = StandardScaler().fit(x.astype(np.float64))
    model = Ridge(alpha=l2).fit(scaler.transform(x), targets)
    table[f"ridge_{l2}_weight"] = model.coef_ / scaler.scale_
    table[f"ridge_{l2}_bias"] = [model.intercept_ - (model.coef_ / scaler.scale_) @ scaler.mean_]
    table[f"ridge_{l2}_r_squared"] = [model.score(scaler.transform(x), targets)]

pca = PCA(n_components=3).fit(x.astype(np.float64))
signs = np.sign(pca.components_[np.arange(3), np.abs(pca.components_).argmax(axis=1)])[:, None]
table["pca_components"] = pca.components_ * signs
table["pca_variance"] = pca.explained_variance_
table["pca_ratio"] = pca.explained_variance_ratio_
table["pca_codes"] = pca.transform(queries) * signs.T

# PCA in double precision, where rows are many, few, or in fewer dimensions than they have features.
tall = rng.normal(size=(30, 6)) @ (rng.normal(size=(6, 6)) * np.array([5, 3, 2, 1, 0.4, 0.1])[:, None])
tall += np.arange(6) ** 2
few = rng.normal(size=(7, 12)) * np.linspace(1, 4, 12) - 3.0
flat = rng.normal(size=(20, 3)) @ (rng.normal(size=(3, 5)) * np.array([4, 2, 1])[:, None])
flat += np.array([0, 10, -5, 1, 100])
for name, data, kept in (("tall", tall, 4), ("few", few, 5), ("flat", flat, 3)):
    pca = PCA(n_components=kept, svd_solver="full").fit(data)
    table[f"pca_{name}"] = data
    table[f"pca_{name}_mean"] = pca.mean_
    table[f"pca_{name}_components"] = pca.components_
    table[f"pca_{name}_variance"] = pca.explained_variance_
    table[f"pca_{name}_ratio"] = pca.explained_variance_ratio_
    table[f"pca_{name}_singular"] = pca.singular_values_
    table[f"pca_{name}_noise"] = [pca.noise_variance_]
    table[f"pca_{name}_codes"] = pca.transform(data)
    table[f"pca_{name}_white"] = PCA(n_components=kept, svd_solver="full", whiten=True).fit_transform(data)

# How many components: Minka's choice and that of a share, for signals of 1 to 6 dimensions under noise.
signals = [rng.normal(size=(n, k)) @ rng.normal(size=(k, 8)) * 2 + rng.normal(size=(n, 8)) * 0.5
           for n, k in ((8, 2), (40, 1), (60, 3), (90, 4), (200, 6))]
table["pca_signals_rows"] = [len(signal) for signal in signals]
table["pca_signals"] = np.concatenate(signals)
table["pca_signals_mle"] = [PCA("mle", svd_solver="full").fit(signal).n_components_ for signal in signals]
table["pca_signals_share"] = [PCA(0.9, svd_solver="full").fit(signal).n_components_ for signal in signals]

for k in (1, 4, 7):
    model = KNeighborsClassifier(k).fit(x.astype(np.float64), labels)
    table[f"neighbours_{k}"] = model.predict(queries)

centred = x - x.astype(np.float64).mean(axis=0)
singular = np.linalg.svd(centred, compute_uv=False)
share = singular / singular.sum()
table["effective_rank"] = [np.exp(-(share * np.log(share)).sum())]

trials = [(0, 10), (1, 3), (53, 100), (100, 100), (981, 1000)]
table["wilson"] = [end for k, n in trials for end in scipy.stats.binomtest(k, n).proportion_ci(method="wilson")]
samples = [[1.0, 2.0], [3.0, 1.0, 2.5], list(targets[:20]), list(targets)]
table["mean_interval"] = [
    end for s in samples for end in scipy.stats.t.interval(0.95, len(s) - 1, np.mean(s), scipy.stats.sem(s))
]

lines = [f"# scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"]
for name, values in table.items():
    lines.append(name + " " + " ".join(repr(v.item() if hasattr(v, "item") else v) for v in np.ravel(values)))
Path(__file__).with_name("table.txt").write_text("\n".join(lines) + "\n")
