"""Export three models to a folder: a scikit-learn pipeline, a random forest, LightGBM's booster.

For `real_models.py`, with a Python that has scikit-learn, skl2onnx, lightgbm and onnxmltools.
"""

import sys
from pathlib import Path

import lightgbm
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmTensor
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Train on the iris data and write."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    data, target = load_iris(return_X_y=True)
    data = data.astype("float32")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(data, target)
    forest = RandomForestClassifier(20, random_state=0).fit(data, target)
    booster = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(data, target)
    made = {
        "pipeline": to_onnx(pipeline, data[:1]),
        "forest": to_onnx(forest, data[:1]),
        "lightgbm": convert_lightgbm(booster, initial_types=[("x", LightGbmTensor([None, 4]))]),
    }
    for name, model in made.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
