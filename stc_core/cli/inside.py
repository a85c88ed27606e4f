"""The commands that look inside the model: ablate, patch and faithfulness."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stc_core.cli.common import open_run, print_json
from stc_core.cli.options import AsJson, RunFolder
from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.memory import without_collection

NeuronNames = Annotated[
    list[str] | None,
    typer.Option(
        "--neuron",
        help="A neuron such as mlp.3.1288; may be given several times.",
        metavar="NAME",
    ),
]
LayerOption = Annotated[
    int | None, typer.Option(help="Only the kept neurons of this layer.")
]
LabelOption = Annotated[
    str | None,
    typer.Option(help="Only the kept neurons that speak most for this class."),
]
TopOption = Annotated[
    int | None,
    typer.Option(help="Only so many kept neurons, the most important.", min=1),
]


def ablate(
    run: RunFolder,
    *,
    neuron: NeuronNames = None,
    layer: LayerOption = None,
    label: LabelOption = None,
    top: TopOption = None,
    how: Annotated[
        str, typer.Option(help="mean, zero, resample or steer.", metavar="HOW")
    ] = "mean",
    steer: Annotated[
        float,
        typer.Option(help="Add so many standard deviations; sets --how steer."),
    ] = 0.0,
    texts: Annotated[
        int, typer.Option(help="Look at so many texts at most.", min=1)
    ] = 200,
    split: Annotated[
        str, typer.Option(help="The texts are of this split: test, validation, train.")
    ] = "test",
    random: Annotated[
        int, typer.Option(help="Compare with so many random sets.", min=0)
    ] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the random sets.", min=0)] = 0,
    usage: Annotated[
        bool,
        typer.Option(
            "--usage",
            help="Instead: for each kept neuron what is read and what is used.",
        ),
    ] = False,
    out: Annotated[
        str | None, typer.Option(help="With --usage: write the table to this CSV file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change neurons inside the model and measure what becomes of the answers.

    All kept neurons are changed unless --neuron, --layer, --label or --top choose
    some. Everything above them is computed again. The effect is shown beside that of
    random neurons of the same sites with a like spread.
    """
    from stc_core.cli import console, console_inside
    from stc_core.interpret.interventions.choice import checked_kind
    from stc_core.interpret.interventions.effects import study_of

    options = _given(neuron, layer=layer, label=label, top=top)
    changed = [
        name
        for name, is_set in (("--how", how != "mean"), ("--steer", steer))
        if is_set
    ]
    if out is not None and not usage:
        raise StcError("--out", expected="--usage with it", got="no --usage")
    if usage and (options or changed):
        raise StcError(
            "--usage",
            expected="no choice of neurons or of a change: it is about all kept ones",
            got=" and ".join([*options, *changed]),
        )
    if steer and how not in ("mean", "steer"):
        raise StcError("--steer", expected="no other --how", got=f"--how {how}")
    way = checked_kind("steer" if steer else how, steer)
    with without_collection():
        opened = open_run(run)
        classifier = opened.classifier()
    if usage:
        _show_usage(opened, classifier, out, texts=texts, split=split, as_json=as_json)
        return
    neurons = _chosen(classifier, neuron, layer=layer, label=label, top=top)
    with console.CountBar("batches of reference texts") as bar:
        study = study_of(
            classifier, opened.corpus, n_texts=texts, split=split, progress=bar.show
        )
    with console.CountBar("sets of neurons") as bar:
        effect = study.effect(
            neurons, how=way, steer=steer, n_random=random, seed=seed, progress=bar.show
        )
    if as_json:
        print_json(effect.record())
    else:
        console_inside.show_effect(effect)


def _show_usage(
    run: Any,
    classifier: Any,
    out: str | None,
    *,
    texts: int,
    split: str,
    as_json: bool,
) -> None:
    """Print what is read and used of each kept neuron; write the table if asked to."""
    from stc_core.analysis.inside.use import measured_usage
    from stc_core.cli import console, console_inside
    from stc_core.frames import write_csv

    with console.CountBar("steps") as bar:
        found = measured_usage(
            run, n_texts=texts, split=split, classifier=classifier, progress=bar.show
        )
    if out is not None:
        import pandas as pd

        with replacing(Path(out)) as path, path.open("w", newline="") as file:
            write_csv(pd.DataFrame(found["neurons"]), file)
    if as_json:
        print_json(found)
    else:
        console_inside.show_usage(found)


def faithfulness(
    run: RunFolder,
    *,
    texts: Annotated[
        int, typer.Option(help="Look at so many texts at most.", min=2)
    ] = 100,
    split: Annotated[
        str, typer.Option(help="The texts are of this split: test, validation, train.")
    ] = "test",
    seed: Annotated[int, typer.Option(help="Seed of the random order.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure whether explanations name what the answer rests on.

    The strongest words of a text are left out, the strongest neurons get their mean in
    the model: what does the probability of the label lose? The exact split is compared
    with gradients, leaving one out, and a random order. The run's folder keeps the
    result, which the app and the report show; a second call reads it.
    """
    from stc_core.analysis.inside.faithfulness import measured_faithfulness
    from stc_core.cli import console, console_inside

    with without_collection():
        opened = open_run(run)
        classifier = opened.classifier()
    with console.CountBar("steps") as bar:
        found = measured_faithfulness(
            opened,
            n_texts=texts,
            split=split,
            seed=seed,
            classifier=classifier,
            progress=bar.show,
        )
    if as_json:
        print_json(found)
    else:
        console_inside.print_faithfulness(found)


def patch(
    run: RunFolder,
    *,
    text: Annotated[str, typer.Option(help="The text whose answer is looked at.")],
    donor: Annotated[str, typer.Option(help="The text that lends its activations.")],
    neuron: NeuronNames = None,
    layer: LayerOption = None,
    label: LabelOption = None,
    top: TopOption = None,
    as_json: AsJson = False,
) -> None:
    """Give neurons of a text the activations that they have in another text.

    Texts with equally many tokens lend token by token; else every token gets the
    donor's mean. Everything above the neurons is computed again.
    """
    from stc_core.cli import console_inside
    from stc_core.interpret.interventions.effects import study_of

    for name, given in (("--text", text), ("--donor", donor)):
        if not given.strip():
            raise StcError(name, expected="a text that is not blank", got=repr(given))
    with without_collection():
        opened = open_run(run)
        classifier = opened.classifier()
    neurons = _chosen(classifier, neuron, layer=layer, label=label, top=top)
    study = study_of(classifier, opened.corpus, n_texts=1)
    found = study.patch(text, donor, neurons)
    if as_json:
        print_json(found._asdict())
    else:
        console_inside.print_patch(found)


def _given(
    names: list[str] | None,
    *,
    layer: int | None,
    label: str | None,
    top: int | None,
) -> list[str]:
    """The options that choose neurons and were given; StcError for several."""
    given = [
        option
        for option, value in (
            ("--neuron", names or None),
            ("--layer", layer),
            ("--label", label),
            ("--top", top),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise StcError(
            "neurons", expected="one of these options", got=" and ".join(given)
        )
    return given


def _chosen(
    classifier: Any,
    names: list[str] | None,
    *,
    layer: int | None,
    label: str | None,
    top: int | None,
) -> Any:
    """The neurons that the options choose; all kept ones without any option."""
    from stc_core.interpret.interventions.choice import KeptNeurons, parse_neurons
    from stc_core.interpret.interventions.effects import linear_head_of

    _given(names, layer=layer, label=label, top=top)
    kept = KeptNeurons(linear_head_of(classifier))
    if names:
        return parse_neurons(names, classifier.backbone_.widths)
    if layer is not None:
        return kept.of_layer(layer)
    if label is not None:
        return kept.of_class(label)
    return kept.all if top is None else kept.top(top)
