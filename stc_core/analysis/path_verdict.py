"""Whether a hierarchy is better on whole paths than a flat classifier, in words."""

from stc_core.display import percent
from stc_core.runs.metrics import RunMetrics, path_scores_of

FLAT = "flat"


def path_verdict(metrics: RunMetrics) -> str:
    """The whole paths that this run gets right, against its flat baseline.

    It is empty if the run has no such baseline.
    """
    if FLAT not in metrics["baselines"]:
        return ""
    ours = path_scores_of(metrics)["joint_accuracy"]
    flat = path_scores_of(metrics, FLAT)["joint_accuracy"]
    lead = round(100 * (ours - flat), 1)
    if lead < 0:
        meaning = "The levels cost accuracy here: prefer the flat classifier."
    elif lead == 0:
        meaning = "The levels neither help nor harm the finest labels."
    else:
        meaning = "The levels help."
    where = ""
    if bounds := metrics["baselines"][FLAT].get("lead_interval"):
        low, high = (100 * bound for bound in bounds)
        where = f", 95 %: {low:+.1f} to {high:+.1f}"
        if lead and low <= 0 <= high:
            meaning += " The difference may be chance."
    return (
        f"Whole paths right on test: {percent(ours)}, by the finest labels alone "
        f"{percent(flat)} ({lead:+.1f} points{where}). {meaning}"
    )
