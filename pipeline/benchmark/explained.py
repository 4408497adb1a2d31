"""How much of one modality's features another's explain: R² of a linear map, on videos it was not fitted to.

What RGB features do not hold no student can learn from a teacher: a look at how much there is to gain.

    python -P -m pipeline.benchmark.explained OUT      # features of one run, of any modalities

Shapes: T steps, D feature size.
"""

import argparse
from itertools import permutations
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.interchange.stored_features import StoredFeatures

CONTEXT = 3  # steps to either side that the map sees, too
PENALTIES = (1e2, 1e3, 1e4, 1e5)


def explained(source: StoredFeatures, target: StoredFeatures) -> float:
    """R² over all standardised features: fitted to two thirds of the videos, measured on the others."""
    videos = sorted(source.keys() & target.keys())
    fitted, held_out = (_stack(source, target, part) for part in _parts(videos))
    scale = StandardScaler().fit(fitted[1])
    linear = make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    linear.fit(fitted[0], scale.transform(fitted[1]))
    predicted = linear.predict(held_out[0])
    return float(r2_score(scale.transform(held_out[1]), predicted, multioutput="variance_weighted"))


def _parts(videos: list[str]) -> tuple[list[str], list[str]]:
    order = np.random.default_rng(0).permutation(len(videos))
    cut = 2 * len(videos) // 3
    return [videos[i] for i in order[:cut]], [videos[i] for i in order[cut:]]


def _stack(
    source: StoredFeatures, target: StoredFeatures, videos: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(_in_context(source[video].data_TD), target[video].data_TD) for video in videos]
    x, y = zip(*pairs, strict=True)
    return np.concatenate(x), np.concatenate(y)


def _in_context(x_TD: np.ndarray) -> np.ndarray:
    padded = np.pad(x_TD, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[i : i + len(x_TD)] for i in range(2 * CONTEXT + 1)], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of a run or benchmark, with features/")
    folders = sorted(folder for folder in (parser.parse_args().out / "features").iterdir() if folder.is_dir())
    stored = {features.modality: features for features in map(StoredFeatures, folders)}
    for source, target in permutations(stored, 2):
        print(f"{source} explains {explained(stored[source], stored[target]):.3f} of {target}", flush=True)


if __name__ == "__main__":
    main()
