"""Every family of the installed transformers: can it be shortened, and exported?

Each is built tiny, with random weights. `cut`: the model up to a middle layer, opened
again, has the same values bit for bit; `whole`: a bundle keeps all its blocks. ONNX is
`equal` if all probabilities are those of torch within 1e-4, `differs` if not, `not
traced` if torch's exporter ends with an error or takes longer than MOST_S. Families
that are no backbone are `not judged`, by one of NOT_JUDGED: that is found out for all
of them first, as it takes little time. The table and the names of the others go to
docs/export.md, the counts to RESULTS.md.

Each family that is judged has a process of its own, and its verdict is kept in
results/onnx.json as soon as it is known: a bench that was ended goes on with the
families that are left, or were tried with other versions.
"""

import json
import multiprocessing
import tempfile
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.utils import logging

from benches.measure import Row, show, table
from benches.models.bench_families import tokenizer
from benches.models.families import NO_TEXT, build, families
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.base import BaseClassifier
from stc_core.errors import StcError
from stc_core.export.cut_backbone import write_cut
from stc_core.export.onnx_folder import (
    GRAPH,
    MOST_APART,
    largest_difference,
    write_graph,
    write_graph_notes,
)
from stc_core.export.predict_onnx import OnnxClassifier
from stc_core.heads.head import SparseHead
from stc_core.types import Feature, PooledSite

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
OTHERS = (
    "The other families that transformers knows are not in the table. The sentence for "
    "each\nthat was not built or is refused is in [language "
    "models](models.md#all-families)."
)
KEPT = Path(__file__).parents[1] / "results" / "onnx.json"
VERSIONS = {
    "transformers": transformers.__version__,
    "torch": torch.__version__.partition("+")[0],
}
MOST_S = 180
NOT_BUILT, REFUSED = "not built", "refused"
NOT_JUDGED = {
    NO_TEXT: "These read no text: their model takes no `input_ids`",
    NOT_BUILT: "These could not be built tiny, with sizes of ours",
    REFUSED: "These are refused as a backbone, or fail on a text alone",
}
"""The kinds of families that are not judged, as the page names them."""
BEGIN, END = "<!-- onnx: begin -->", "<!-- onnx: end -->"
WORDS = [f"w{3 + number}" for number in range(60)]
TEXTS = [
    " ".join(WORDS[(7 * n + 11 * j + n * j) % 60] for j in range(1 + 5 * n % 23))
    for n in range(24)
]
"""Of 1 to 23 words, in no order of length."""
N_CLASS, MOST_FEATURES = 3, 60


class Verdict(NamedTuple):
    """What comes of a family, and what is said of it.

    If it is not judged, `onnx` is one of NOT_JUDGED, and `bundle` is empty.
    """

    family: str
    bundle: str
    onnx: str
    said: str

    @property
    def is_judged(self) -> bool:
        return self.onnx not in NOT_JUDGED


def hindered(family: str) -> Verdict | None:
    """Why a family cannot be judged; None if it is a backbone."""
    try:
        model, reason = build(family)
    except Exception as error:  # noqa: BLE001 - the library's, of sizes of ours
        return Verdict(family, "", NOT_BUILT, _of(error))
    if model is None:
        kind = reason if reason == NO_TEXT else NOT_BUILT
        return Verdict(family, "", kind, reason)
    try:
        Backbone.from_model(model, tokenizer(), name=family)
    except Exception as error:  # noqa: BLE001 - it may ask for an image
        return Verdict(family, "", REFUSED, _of(error))
    return None


def judged(family: str) -> Verdict:
    """The verdict on a family that is a backbone."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        try:
            build(family).model.save_pretrained(folder / "model")
            tokenizer().save_pretrained(folder / "model")
            backbone = Backbone.load(str(folder / "model"), device="cpu")
        except Exception as error:  # noqa: BLE001 - of its files
            return Verdict(family, "", REFUSED, _of(error).replace(made, ""))
        layer = max(1, backbone.n_layers // 2)
        bundle, reason = _shortened(backbone, layer, folder / "part")
        onnx, why = _exported(random_classifier(backbone, layer), folder)
        return Verdict(family, bundle, onnx, (why or reason).replace(made, ""))


def _shortened(backbone: Backbone, layer: int, folder: Path) -> tuple[str, str]:
    """Whether the part up to `layer` has the same values, else why not."""
    try:
        write_cut(backbone, layer, folder)
        part = Backbone.load(str(folder), device="cpu")
    except StcError as error:
        return "whole", _line(str(error))
    sites = [site for site in backbone.sites if site.layer <= layer]
    wanted = [PooledSite(site, "mean") for site in sites]
    ids = backbone.tokenize(TEXTS).ids
    if not set(sites) <= set(part.sites):
        return "whole", "some sites are not found in a part of it"
    expected, found = backbone.pooled(ids, wanted), part.pooled(ids, wanted)
    if all(torch.equal(found[one], expected[one]) for one in wanted):
        return "cut", ""
    return "whole", "the values of a part of it differ"


def random_classifier(backbone: Backbone, layer: int) -> BaseClassifier:
    """A random head on neurons of all sites up to `layer`, under every pooling."""
    rng = np.random.default_rng(0)
    sites = [site for site in backbone.sites if site.layer <= layer]
    poolings = ("mean", "max", "first", "last")
    features = tuple(
        Feature(sites[n % len(sites)], poolings[n % 4], n % 8)
        for n in range(MOST_FEATURES)
    )
    features = tuple(dict.fromkeys(features))
    n = len(features)
    names = tuple(f"class {number}" for number in range(N_CLASS))
    weight = rng.standard_normal((N_CLASS, n)).astype(np.float32) / n**0.5
    zero = np.zeros(n, np.float32)
    made = BaseClassifier()
    made.backbone_, made.classes_ = backbone, np.array(names)
    bias = np.zeros(N_CLASS, np.float32)
    made.head_ = SparseHead(features, zero, zero + 1, weight, bias, names)
    values = made.features(TEXTS)
    sd = np.maximum(values.std(axis=0), 1e-3)
    made.head_ = made.head_._replace(mean=values.mean(axis=0), sd=sd)
    return made


def _exported(classifier: BaseClassifier, folder: Path) -> tuple[str, str]:
    """Whether the graph has the answers of torch, else why not."""
    try:
        write_graph(classifier, folder / GRAPH)
        write_graph_notes(classifier, folder, TEXTS)
        most = largest_difference(classifier, OnnxClassifier(folder), TEXTS)
    except StcError as error:
        return "not traced", _line(error.got or str(error))
    except Exception as error:  # noqa: BLE001 - of the runtime, for this graph
        return "differs", _of(error)
    return ("equal", "") if most <= MOST_APART else ("differs", f"by {most:.1g}")


def _of(error: Exception) -> str:
    kind = "" if isinstance(error, StcError) else f"{type(error).__name__}: "
    return _line(f"{kind}{error}")


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:160]


def kept() -> dict[str, Verdict]:
    """What these versions gave so far."""
    if not KEPT.exists():
        return {}
    found = json.loads(KEPT.read_text("utf-8"))
    if {name: found[name] for name in VERSIONS} != VERSIONS:
        return {}
    rows: dict[str, Any] = found["families"]
    return {family: Verdict(family, **row) for family, row in rows.items()}


def keep(verdicts: Mapping[str, Verdict]) -> None:
    rows = {family: _without_name(one) for family, one in sorted(verdicts.items())}
    text = json.dumps(VERSIONS | {"families": rows}, indent=1) + "\n"
    half = KEPT.with_suffix(".part")
    half.write_text(text, encoding="utf-8")
    half.replace(KEPT)


def _without_name(verdict: Verdict) -> dict[str, str]:
    return {
        name: value for name, value in verdict._asdict().items() if name != "family"
    }


def in_order() -> list[str]:
    """Families with a language model of their own first: people use those for texts."""
    text = {
        *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    }
    return sorted(families(), key=lambda name: name.partition(",")[0] not in text)


def in_a_process(family: str) -> Verdict:
    """Its verdict, whatever the family does to the process that tries it."""
    here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_tell, args=(family, there)
    )
    process.start()
    there.close()
    try:
        if here.poll(MOST_S):
            return here.recv()
        return Verdict(family, "not known", "not traced", f"took over {MOST_S} s")
    except EOFError:
        process.join()
        return Verdict(family, "not known", "not traced", f"ended: {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _tell(family: str, there: Connection) -> None:
    there.send(judged(family))


def publish(verdicts: Sequence[Verdict], left: Sequence[str]) -> None:
    """Write the table, and the names of the other families, between the marks."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    own = sorted(verdict for verdict in verdicts if verdict.is_judged)
    about = "With " + " and ".join(f"{name} {at}" for name, at in VERSIONS.items())
    about += f": {said(own, 'bundle')}; ONNX {said(own, 'onnx')}."
    rows: list[Row] = [verdict._asdict() for verdict in own]
    others = [
        names(title, [one.family for one in verdicts if one.onnx == kind])
        for kind, title in NOT_JUDGED.items()
    ]
    if left:
        others.append(names("These are backbones and were not tried yet", left))
    parts = [BEGIN, about, table(rows), OTHERS, *others, END]
    PAGE.write_text(before + "\n\n".join(parts) + after, encoding="utf-8")


def names(title: str, families: Sequence[str]) -> str:
    """A paragraph with the names, in lines of a page."""
    listed = f"*{title}* ({len(families)}): {', '.join(sorted(families)) or 'none'}."
    return "\n".join(textwrap.wrap(listed, 96, break_on_hyphens=False))


def said(verdicts: Sequence[Verdict], part: str) -> str:
    counts = Counter(getattr(verdict, part) for verdict in verdicts)
    return ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common())


def bench() -> Iterator[Row]:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # a fork has only the thread that made it
    tried, order = kept(), in_order()
    new = [family for family in order if family not in tried]
    ready = []
    for family in new:
        if (found := hindered(family)) is None:
            ready.append(family)
        else:
            tried[family] = found
    keep(tried)
    for place, family in enumerate(ready):
        publish(list(tried.values()), ready[place:])
        tried[family] = in_a_process(family)
        keep(tried)
    publish(list(tried.values()), [])
    yield from counts(list(tried.values()))


def counts(verdicts: Sequence[Verdict]) -> Iterator[Row]:
    """The families of each outcome, most first."""
    outcomes: Any = Counter((verdict.bundle, verdict.onnx) for verdict in verdicts)
    for (bundle, onnx), n in outcomes.most_common():
        case = f"{bundle}, {onnx}" if bundle else onnx
        yield {"bench": "onnx", "case": case, "families": n}


if __name__ == "__main__":
    show(bench, __doc__ or "")
