"""Small tables in the shape of a run directory's, and an explanation that adds up."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from helpers.metrics import whole_metrics

CLASSES = ("a", "b", "<i>c</i>")


def layout(figure: go.Figure) -> Any:
    """The layout of `figure`, whose attributes no type checker sees."""
    return figure.layout


def traces(figure: go.Figure) -> Any:
    """The traces of `figure`, whose attributes no type checker sees."""
    return figure.data


def probes(n_layers: int = 3) -> pd.DataFrame:
    """Two C for each of resid and mlp, mean and max; mlp.2.max is best at .90."""
    rows = []
    for layer in range(n_layers + 1):
        for kind in ("resid", "mlp"):
            for pooling in ("mean", "max"):
                if layer == 0 and kind == "mlp":
                    continue
                top = (layer, kind, pooling) == (2, "mlp", "max")
                value = 0.9 if top else 0.6 + 0.03 * layer + 0.01 * (kind == "mlp")
                rows += [
                    probe(layer, kind, pooling, value, C=0.1, best=True),
                    probe(layer, kind, pooling, value - 0.1, C=1.0, best=False),
                ]
    return pd.DataFrame(rows)


def probe(
    layer: int, kind: str, pooling: str, value: float, *, C: float, best: bool
) -> dict[str, Any]:
    return {
        "site": f"{kind}.{layer}",
        "kind": kind,
        "layer": layer,
        "pooling": pooling,
        "C": C,
        "accuracy": value,
        "macro_f1": value - 0.05,
        "accuracy_low": value - 0.04,
        "accuracy_high": value + 0.03,
        "n": 120,
        "nonzeros": 40,
        "gap": 1e-5,
        "best": best,
    }


def curves() -> pd.DataFrame:
    """8 of 32 neurons give 95 % of the score; layer 2 of 3 was chosen."""
    few = [(4, 0.5), (8, 0.77), (16, 0.79), (32, 0.8), (64, 0.8)]
    deep = [(0, 0.4), (1, 0.77), (2, 0.8), (3, 0.8)]
    rows = [point("neurons", n, n, 3, value, n == 32) for n, value in few]
    rows += [point("depth", k, 32, k, value, k == 2) for k, value in deep]
    return pd.DataFrame(rows)


def point(
    curve: str, x: int, neurons: int, layer: int, value: float, chosen: bool
) -> dict[str, Any]:
    return {
        "curve": curve,
        "x": x,
        "neurons": neurons,
        "layer": layer,
        "accuracy": value,
        "macro_f1": value,
        "accuracy_low": value - 0.05,
        "accuracy_high": value + 0.05,
        "parameters_share": 0.5 + layer / 6,
        "flops_share": layer / 3,
        "chosen": chosen,
    }


def neurons(sizes: dict[str, int] | None = None) -> pd.DataFrame:
    """So many neurons of each site, importance falling within it."""
    rows = []
    for site, size in (sizes or {"resid.0": 2, "resid.2": 3, "mlp.2": 5}).items():
        kind, layer = site.split(".")
        for rank in range(size):
            place = len(rows)
            weights = {"a": 0.5 - rank, "b": rank - 0.5, "<i>c</i>": 0.1 * place}
            rows.append(
                {
                    "neuron": place,
                    "site": site,
                    "kind": kind,
                    "layer": int(layer),
                    "index": 10 * place,
                    "pooling": "mean" if rank % 2 else "max",
                    "importance": 1.0 / (1 + rank) + 0.001 * place,
                    "mean": 0.0,
                    "sd": 1.0,
                    **{f"weight:{name}": value for name, value in weights.items()},
                }
            )
    return pd.DataFrame(rows)


METRICS = whole_metrics(
    classes=list(CLASSES),
    test={
        "accuracy": 0.85,
        "accuracy_interval": [0.8, 0.9],
        "macro_f1": 0.8,
        "n": 200,
    },
    layers={"used": 2, "total": 3},
    baselines={
        "majority": {
            "accuracy": 0.2,
            "accuracy_interval": [0.15, 0.25],
            "macro_f1": 0.1,
            "detail": "a",
        },
        "tfidf": {
            "accuracy": 0.78,
            "accuracy_interval": [0.72, 0.84],
            "macro_f1": 0.7,
        },
    },
)


def explanation(text: str = "good <b>day</b>") -> dict[str, Any]:
    """Three neurons and four tokens whose contributions add up to every logit."""
    parts = np.array([[0.5, -0.25, 1.0], [-0.5, 0.5, 0.25], [0.0, 0.0, -1.5]])
    tokens = np.array(
        [[0.1, 0.2, 0.3, 0.65], [0.0, 0.25, 0.0, 0.0], [-0.5, -0.5, 0, -0.5]]
    )
    bias, places = [0.1, 0.2, 0.3], [(0, 0), (0, 4), (5, 11), (11, 15)]
    logits = dict(zip(CLASSES, (parts.sum(1) + bias).tolist(), strict=True))
    return {
        "text": text,
        "label": "a",
        "probabilities": dict(zip(CLASSES, (0.7, 0.2, 0.1), strict=True)),
        "logits": logits,
        "bias": dict(zip(CLASSES, bias, strict=True)),
        "neurons": [
            {
                "site": site,
                "layer": int(site[-1]),
                "index": 3 * place,
                "pooling": "max",
                "activation": 0.5,
                "contribution": named(parts[:, place]),
            }
            for place, site in enumerate(("resid.0", "mlp.2", "resid.2"))
        ],
        "tokens": [
            {
                "start": start,
                "end": end,
                "text": text[start:end] or "[CLS]",
                "unknown": False,
                "contribution": named(tokens[:, place]),
            }
            for place, (start, end) in enumerate(places)
        ],
    }


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(CLASSES, values.tolist(), strict=True))


def options() -> pd.DataFrame:
    """A frontier of three depths by two numbers of neurons; the largest is the run's.

    Neither depth nor size is free: each step costs 5 ms, and more of both is better.
    """
    rows = []
    for layer in range(3):
        for neurons, more in ((8, 0.0), (32, 0.1)):
            value = 0.5 + 0.1 * layer + more
            rows.append(
                {
                    "layer": layer,
                    "deepest": layer,
                    "neurons": neurons,
                    "ridge": 1.0,
                    "accuracy": value,
                    "macro_f1": value - 0.1,
                    "accuracy_low": value - 0.05,
                    "accuracy_high": value + 0.05,
                    "n": 120,
                    "test_accuracy": value,
                    "test_accuracy_low": value - 0.05,
                    "test_accuracy_high": value + 0.05,
                    "test_macro_f1": value,
                    "n_test": 200,
                    "parameters": 1_000_000 * (1 + layer),
                    "flops_per_token": 2_000_000 * layer,
                    "parameters_share": (1 + layer) / 3,
                    "flops_share": layer / 2,
                    "ms_per_text": 5.0 * (1 + layer),
                    "chosen": (layer, neurons) == (2, 32),
                }
            )
    return pd.DataFrame(rows)


def learning(**changes: float) -> dict[str, Any]:
    """The record of a learning curve of 682 rows; `changes` are of its forecasts."""
    none = {"gain": 0.0, "gain_low": 0.0, "gain_high": 0.0}
    now = {"more": 0, "score": 0.8125, "low": 0.78, "high": 0.85, **none}
    some = {"more": 300, "score": 0.837, "low": 0.8, "high": 0.88}
    some |= {"gain": 0.024, "gain_low": 0.008, "gain_high": 0.033, **changes}
    most = {"more": 700, "score": 0.855, "low": 0.81, "high": 0.91}
    most |= {"gain": 0.042, "gain_low": 0.012, "gain_high": 0.059, **changes}
    fewer = {"more": -586, "score": 0.55, "low": 0.5, "high": 0.6, **none}
    return {
        "rows": 682,
        "sizes": [96, 545],
        "scores": [0.55, 0.79],
        "errors": [0.02, 0.01],
        "line": [fewer, now, most],
        "forecasts": [now, some, most],
    }


def stability(**changes: Any) -> dict[str, Any]:
    """The record of a `Stability` of 724 neurons."""
    kind = {"rows": 300, "n_selections": 10, "overlap": 0.18, "always": 40}
    shares = {"halves": 0.18, "bootstrap": 0.3, "seeds": None, "chance": 0.02}
    part = {"name": "mlp.3", "layer": 3, "kept": 90, "always": 7, **shares}
    return {
        "repeats": {
            name: {**kind, "overlap": share, "frequency": [share] * 724}
            for name, share in (("halves", 0.18), ("bootstrap", 0.3), ("seeds", 0.4))
        },
        "layers": [{**part, "name": "layer 3"}],
        "sites": [part],
        "frequency": [1.0] * 40 + [0.5] * 684,
        "overlap": 0.18,
        "chance": 0.011,
        "half": 300,
        "kept": 724,
        "n_selections": 10,
        "always": 40,
        **changes,
    }


def faithful_part(
    *,
    best: float = 0.5,
    ahead: tuple[float, float, float] = (0.1, 0.05, 0.15),
    missing: dict[str, str] | None = None,
    cases: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The record of a `PartScores` of three methods; leave one out has `best`."""

    def of(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}

    scores = {"readout": 0.4, "leave_one_out": best, "random": 0.03}
    leads = {"readout": (0, 0, 0), "leave_one_out": ahead, "random": (-0.4, -0.5, -0.3)}
    return {
        "n_texts": 50,
        "mean_parts": 20.0,
        "shares": [0.01, 0.05, 0.1, 0.2, 0.5],
        "methods": [
            {
                "method": name,
                "comprehensiveness": of(score),
                "sufficiency": of(0.1),
                "ahead": dict(zip(("mean", "low", "high"), leads[name], strict=True)),
                "curve_without": [score] * 5,
                "curve_alone": [0.1] * 5,
            }
            for name, score in scores.items()
        ],
        "missing": missing or {},
        "same_top": 0.43,
        "cases": cases or [],
    }
