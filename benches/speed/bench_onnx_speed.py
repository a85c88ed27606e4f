"""onnxruntime against our own path through torch: single texts, and batches of 32.

A random head on 60 neurons of the embedded model, the same for all. `ours` is
`predict_proba` of the classifier; the rivals are `predict.py` of an exported folder, in
float32 and with int8 weights. Each round reads other texts.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from benches.measure import Row, against, interleaved, show
from benches.models.bench_onnx import random_classifier
from stc_core.backbone.backbone import Backbone
from stc_core.data.table import read_table
from stc_core.data.uploads import SAMPLE_PATH
from stc_core.export.onnx_folder import GRAPH, write_graph, write_graph_notes
from stc_core.export.predict_onnx import OnnxClassifier

ROUNDS, SIZES = 7, (1, 32)


def bench() -> Iterator[Row]:
    texts = read_table(SAMPLE_PATH)["text"].tolist()
    backbone = Backbone.load(device="cpu")
    classifier = random_classifier(backbone, backbone.n_layers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_graph(classifier, folder / GRAPH)
        write_graph_notes(classifier, folder, texts[:24])
        plain = OnnxClassifier(folder)
        small = folder / "int8.onnx"
        quantize_dynamic(
            folder / GRAPH, small, weight_type=QuantType.QInt8, per_channel=True
        )
        small.replace(folder / GRAPH)
        int8 = OnnxClassifier(folder)
        for size in SIZES:
            works: dict[str, Callable[[], object]] = {
                "ours": batches(classifier.predict_proba, texts, size),
                "onnxruntime": batches(plain.run, texts, size),
                "onnxruntime, int8": batches(int8.run, texts, size),
            }
            yield from against("onnx_speed", f"{size}", interleaved(works, ROUNDS))


def batches(
    answer: Callable[[list[str]], object], texts: list[str], size: int
) -> Callable[[], object]:
    """Each call answers the next `size` texts."""
    starts = iter(range(0, len(texts) - size, size))

    def work() -> object:
        start = next(starts)
        return answer(texts[start : start + size])

    return work


if __name__ == "__main__":
    show(bench, __doc__ or "")
