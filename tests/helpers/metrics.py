"""Metrics of a run that was never trained: whole, with what a test asks for."""

from collections.abc import Mapping
from typing import Any, get_args

from typing_extensions import get_type_hints, is_typeddict

from stc_core.runs.metrics import RunMetrics

_SCORES = {
    "accuracy": 0.5,
    "accuracy_interval": [0.4, 0.6],
    "macro_f1": 0.45,
    "macro_f1_interval": [0.35, 0.55],
}


def whole_metrics(**parts: Any) -> Any:
    """Metrics with these parts; what a part leaves out, it has from the default."""
    metrics: dict[str, Any] = {
        "classes": ["a", "b"],
        "test": {**_SCORES, "n": 40, "ece": 0.05, "log_loss": 0.4, "levels": []},
        "validation": {"accuracy": 0.5, "macro_f1": 0.45, "n": 30},
        "neurons": {"selected": 57, "unique": 50, "total": 27648},
        "layers": {"used": 5, "total": 6},
        "chosen": {},
        "cost": {
            "parameters": 12_000_000,
            "parameters_total": 22_000_000,
            "flops_per_token": 15_000_000,
            "flops_per_token_total": 20_000_000,
        },
        "backbone": {
            "name": "tiny",
            "identity": "0" * 64,
            "n_layers": 6,
            "layer_names": [str(layer) for layer in range(7)],
            "max_length": 256,
            "device": "cpu",
            "dtype": "float32",
            "notes": [],
        },
        "tokens": {"n": 1000, "cut": 0},
        "baselines": {},
        "missing": {},
        "seconds": {"total": 7.0},
    }
    for name, part in parts.items():
        known = metrics.get(name)
        if name == "baselines":
            part = {
                key: {**_SCORES, "detail": "", **scores} for key, scores in part.items()
            }
        metrics[name] = {**known, **part} if isinstance(known, dict) else part
    return metrics


def undeclared(values: Mapping[str, Any], shape: Any = RunMetrics) -> list[str]:
    """The keys of metrics, such as test.ece, that their type does not have."""
    known, found = get_type_hints(shape), []
    for name, value in values.items():
        if name not in known:
            found.append(name)
            continue
        parts = (known[name], *get_args(known[name]))
        inner = [part for part in parts if is_typeddict(part)]
        if not inner:
            continue
        items = {"": value} if inner[0] is known[name] else dict(_items(value))
        for key, item in items.items():
            place = f"{name}.{key}" if key else name
            found += [f"{place}.{more}" for more in undeclared(item, inner[0])]
    return found


def _items(value: Any) -> Any:
    return value.items() if isinstance(value, Mapping) else enumerate(value)
