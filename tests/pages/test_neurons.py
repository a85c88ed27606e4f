"""Neurons: the map and the close-up of one neuron of a real run."""

import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import at_home, charts, fine, html, said, visit, written_run
from stc_core.analysis.examples import example_table
from stc_core.display import percent
from stc_core.errors import StcError
from stc_core.files import read_json, write_json
from stc_core.heads.word_readout import WordReadout, save_word_readouts
from stc_core.interpret.interventions import effects
from stc_core.interpret.interventions.choice import count_neurons
from stc_core.interpret.neuron_table import (
    addresses_of,
    chosen_neurons,
    classes_of,
    neuron_names,
)
from stc_core.runs.run import Run
from ui.cache import effects as cached_effects
from ui.cache import run_files
from ui.neurons import map
from ui.neurons.map import by_name
from ui.neurons.panels import LOADING
from ui.neurons.search import number_repeats
from ui.shell.messages import escape

PAGE = "pages/4_Neurons.py"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, run_folder: Path, monkeypatch) -> Run:
    """The one run `r` of a home of its own."""
    return Run.open(at_home(tmp_path, monkeypatch, r=run_folder) / "r")


def title(app) -> str:
    return app.subheader[0].value


def test_the_most_important_neuron_is_shown_first(run):
    app = fine(visit(PAGE, run="r"))
    neurons = run.neurons
    top = int(neurons.loc[neurons["importance"].idxmax(), "neuron"])
    assert title(app) == neuron_names(neurons)[top]
    assert len(charts(app)) == 3
    assert app.segmented_control(key="side").value == "Texts"
    assert f"{len(neurons):,} of the {len(neurons):,} kept neurons" in said(app)


def test_its_texts_are_coloured_and_lead_to_their_explanation():
    app = fine(visit(PAGE, run="r"))
    assert html(app).count("background:rgba(") > 8
    assert 'href="Examples?run=r&amp;example=' in html(app)


@pytest.mark.parametrize("group", ["Second quarter", "Lowest", "Random"])
def test_other_texts_can_be_seen(group):
    app = fine(visit(PAGE, run="r", state={"text_group": group}))
    assert "explain</a>" in html(app)


def test_a_link_opens_its_neuron_coloured_by_its_class(run):
    name = classes_of(run.neurons)[1]
    app = fine(visit(PAGE, state=None, **{"run": "r", "neuron": "3", "class": name}))
    assert title(app) == neuron_names(run.neurons)[3]
    assert app.selectbox(key="pick_label").value == name
    assert "Orange: against it." in said(app)


def test_next_and_previous_go_by_importance(run):
    ranked = run.neurons.sort_values("importance", ascending=False, kind="stable")
    first = addresses_of(ranked)[:2]
    app = fine(visit(PAGE, run="r"))
    assert f"1 of {len(ranked):,}, by importance" in said(app)
    app = fine(visit(PAGE, run="r", neuron=first[0]))
    before = title(app)
    next(one for one in app.button if one.label == "Next").click().run()
    assert title(fine(app)) != before
    next(one for one in app.button if one.label == "Previous").click().run()
    assert title(fine(app)) == before
    assert "".join(app.query_params["neuron"]) == first[0]


def test_a_class_shows_its_strongest_neuron_and_lets_the_old_one_go(run):
    label = classes_of(run.neurons)[1]
    strongest = int(run.neurons["weight:" + label].idxmax())
    app = fine(visit(PAGE, run="r", neuron="3"))
    fine(app.selectbox(key="pick_label").select(label).run())
    assert "neuron" not in app.query_params
    assert title(app) == neuron_names(run.neurons)[strongest]
    assert ", from the highest weight on" in said(app)


def test_of_many_neurons_those_beside_are_listed(run, monkeypatch):
    monkeypatch.setattr(map, "MOST_LISTED", 4)
    app = fine(visit(PAGE, run="r"))
    for _ in range(3):
        choice = app.selectbox(key="pick_neuron")
        assert len(choice.options) == 4 and title(app) in choice.options
        choice.set_value(choice.options[0])
        fine(app.run())
        assert title(app) == choice.options[0]


def test_a_neuron_is_found_by_its_name_however_it_is_typed(run, monkeypatch):
    names, addresses = neuron_names(run.neurons), addresses_of(run.neurons)
    named, toast = dict(zip(addresses, names.values(), strict=True)), Mock()
    monkeypatch.setattr(map.st, "toast", toast)
    for number in (0, 7):
        assert by_name(named, f"  {names[number].upper()} ") == addresses[number]
        assert by_name(named, addresses[number]) == addresses[number]
    toast.assert_not_called()
    assert by_name(named, "resid.99 #1") is None
    assert "resid.99 #1" in toast.call_args.args[0]


def test_neurons_are_ordered_by_likeness_and_by_a_weight_only_of_a_class(
    run, monkeypatch
):
    monkeypatch.setattr(map, "MOST_LISTED", 10_000)
    app = fine(visit(PAGE, run="r", order="alike"))
    names = neuron_names(run.neurons)
    order = chosen_neurons(run.neurons, order="alike")["neuron"].tolist()
    shown = app.selectbox(key="pick_neuron").options
    assert shown == [names[one] for one in order]
    sizes = f"{len(order):,}, in the order of the map"
    assert sizes in said(app)
    assert list(app.segmented_control(key="neuron_order").options) == [
        "importance",
        "stability",
        "similarity",
    ]
    label = classes_of(run.neurons)[0]
    app = fine(visit(PAGE, state=None, **{"run": "r", "class": label}))
    assert "weight" in app.segmented_control(key="neuron_order").options


def test_a_neuron_that_is_not_there_shows_the_first():
    app = fine(visit(PAGE, run="r", neuron="999999"))
    assert title(app)


def test_a_layer_filters_the_map(run):
    layer = int(run.neurons["layer"].iloc[0])
    here = int((run.neurons["layer"] == layer).sum())
    app = fine(visit(PAGE, run="r", layer=str(layer)))
    assert f"{here:,} of the {len(run.neurons):,} kept neurons" in said(app)


def test_filters_that_leave_nothing_say_so(run, monkeypatch):
    nothing = run.neurons.iloc[:0]
    monkeypatch.setattr("ui.neurons.map.chosen_neurons", lambda *_, **__: nothing)
    app = fine(visit(PAGE, run="r"))
    assert "No kept neuron passes these filters" in said(app)


def test_a_word_that_comes_again_can_be_told_apart():
    named = number_repeats("the cat the", [(0, 3), (3, 7), (7, 11)])
    assert list(named.values()) == ["the", "cat", "the (2)"]


def test_filters_that_leave_nothing_can_be_cleared(run):
    kinds = run.neurons.groupby("pooling")["layer"].agg(set)
    layers = set(run.neurons["layer"])
    pooling, layer = next(
        (name, min(layers - there)) for name, there in kinds.items() if layers - there
    )
    app = fine(visit(PAGE, run="r", layer=str(layer), pooling=pooling))
    press = next(one for one in app.button if one.label == "Clear the filters")
    press.click().run()
    assert "layer" not in fine(app).query_params
    assert f"{len(run.neurons):,} of the" in said(app)


def side(name: str):
    return fine(visit(PAGE, run="r", side=name))


def test_two_classes_are_compared_on_the_map(run):
    one, other, *_ = classes_of(run.neurons)
    app = fine(visit(PAGE, state=None, **{"run": "r", "class": one, "against": other}))
    assert app.selectbox(key="pick_against").value == other
    assert "Orange: more for the second." in said(app)


def test_activations_are_counted_too():
    app = fine(visit(PAGE, run="r", state={"activity": "counts"}))
    assert len(charts(app)) == 3


def test_one_s_own_text_stands_among_the_others(run):
    app = fine(visit(PAGE, run="r", text="where is my <b>parcel</b>"))
    assert f"% of {len(run.corpus):,} texts** of this run" not in said(app)
    assert f"% of {len(run.corpus):,} texts of this run" in said(app)
    assert "Most active on" in said(app)
    assert "<b>" not in html(app)


def test_one_s_own_text_is_part_of_the_link():
    app = side("Your own text")
    app.text_area(key="neuron_text").set_value("  where is it  ").run()
    assert app.query_params["text"] in ("where is it", ["where is it"])
    assert "Most active on" in said(fine(app))
    app.text_area(key="neuron_text").set_value(" ").run()
    assert "text" not in fine(app).query_params
    assert "Nothing is typed yet." in said(app)


def test_no_text_yet_is_said():
    assert "Nothing is typed yet." in said(side("Your own text"))


def table_with(app: AppTest, column: str) -> pd.DataFrame:
    """The first table that has this column."""
    return next(one.value for one in app.dataframe if column in one.value)


def test_correlated_neurons_are_those_of_the_activations(run):
    app = fine(visit(PAGE, run="r", neuron="3", side="Correlated"))
    table = table_with(app, "r")
    r = np.corrcoef(np.asarray(run.activations, float).T)[3]
    r[3] = 0
    assert table["neuron"].iloc[0] == neuron_names(run.neurons)[int(np.abs(r).argmax())]
    assert table["r"].iloc[0] == pytest.approx(r[np.abs(r).argmax()], abs=1e-4)
    assert f"n = {len(run.corpus):,} texts" in said(app)


def test_there_is_no_other_run_yet():
    assert "There is no other run yet" in said(side("Other runs"))


def test_the_same_neuron_is_found_in_another_run(run):
    (run.folder.parent / "s").symlink_to(run.folder.resolve(), target_is_directory=True)
    app = fine(visit(PAGE, run="r", neuron="3", side="Other runs"))
    table = table_with(app, "rank")
    assert table["kept"].tolist() == ["yes"]
    assert table["rank"].iloc[0].endswith(f" of {len(run.neurons):,}")


def test_a_run_of_another_backbone_is_not_compared(run):
    other = written_run(run.folder.parent / "other", "Other")
    assert other.done
    assert "The one other run does not read" in said(side("Other runs"))


def test_ablation_is_that_of_the_head(run):
    app = fine(visit(PAGE, run="r", neuron="3", example="0", side="Ablate it"))
    (test,) = app.metric  # the head has learned the validation texts
    head = run.classifier().head_
    rows = np.flatnonzero(run.corpus["split"] == "test")
    X = np.array(run.activations[rows])
    X[:, 3] = head.mean[3]
    right = (
        np.array(head.classes)[head.logits(X).argmax(1)] == run.corpus["label"][rows]
    )
    assert test.label == "Accuracy on test, without it"
    assert test.value == percent(float(right.mean()))
    assert f"n = {len(rows):,}." in said(app)
    assert "Mean ablation of the readout, not of the model" in said(app)
    assert "**Row 1**" in said(app)
    assert "By the final classifier, which has learned this text." in said(app)
    (shares,) = (t.value for t in app.dataframe if "change" in t.value)
    assert sum(shares["change"].tolist()) == pytest.approx(0, abs=1e-3)


def test_validation_texts_that_were_not_learned_show_the_ablation_too(run, monkeypatch):
    table = example_table(run.predictions.assign(held=False), run.corpus)
    monkeypatch.setattr("ui.neurons.ablation.examples", lambda _: table)
    app = fine(visit(PAGE, run="r", neuron="3", side="Ablate it"))
    assert [one.label for one in app.metric] == [
        f"Accuracy on {split}, without it" for split in ("test", "validation")
    ]
    assert "They took part in the training." in said(app)


def test_a_hierarchy_has_no_ablation(run, monkeypatch):
    monkeypatch.setattr("ui.neurons.ablation.has_readout", lambda run: False)
    assert "decides level by level" in said(side("Ablate it"))


@pytest.mark.parametrize("text", ["parcel", "where is my parcel?"])
def test_neurons_that_fire_are_found_by_text(run, text):
    app = fine(visit(PAGE, run="r", find=text))
    table = table_with(app, "deviations above")
    assert table["deviations above"].is_monotonic_decreasing
    assert set(table["neuron"]) <= set(neuron_names(run.neurons).values())
    word = "usual value on a token" in said(app)
    assert word == (text == "parcel")


def test_thousands_of_neurons_are_binned_then_shown_by_site(run, monkeypatch):
    monkeypatch.setattr("ui.neurons.map.MOST_SINGLE", 20)
    monkeypatch.setattr("stc_core.interpret.neuron_table.MOST_SINGLE", 20)
    app = fine(visit(PAGE, run="r"))
    assert "Click a square to see the neurons of its site." in said(app)
    sizes = run.neurons.groupby(["layer", "kind"]).size()
    layer, kind = sizes.idxmax()
    app = fine(visit(PAGE, run="r", layer=str(layer), kind=kind))
    assert "Click a square to see that neuron beside the map." in said(app)
    pages = app.segmented_control(key="neuron_page")
    first = title(app)
    pages.set_value(1).run()
    assert title(fine(app)) != first


def test_a_run_without_neurons_says_why(run, monkeypatch):
    monkeypatch.setattr("ui.neurons.view.has_neurons", lambda run: False)
    train = run.config.train.model_copy(update={"recipe": "attention"})
    config = run.config.model_copy(update={"train": train})
    monkeypatch.setattr("stc_core.runs.run.Run.config", config)
    assert "This run keeps no neurons" in said(fine(visit(PAGE, run="r")))


@pytest.mark.parametrize("side", ["Texts", "Ablate it"])
def test_a_run_that_spells_shows_the_sparse_classifier_s(run, side):
    """Its model folder holds a tree and words beside the head of the sparse one."""
    folder = run.folder.parent / "spells"
    (folder / "model").mkdir(parents=True)
    for one in run.folder.resolve().iterdir():
        if one.is_file():
            (folder / one.name).symlink_to(one)
    for one in (run.folder / "model").resolve().iterdir():
        (folder / "model" / one.name).symlink_to(one)
    for name in ("tree.json", "words.safetensors"):
        (folder / "model" / name).write_text("{}")
    app = fine(visit(PAGE, run="spells", side=side))
    assert "This run spells its labels" in said(app)
    assert "level by level" not in said(app)


def test_until_the_model_is_there_its_texts_stand_unshaded(run, monkeypatch):
    looks = [False, False, False, StcError("The model is damaged")]
    with monkeypatch.context() as patch:
        patch.setattr("ui.neurons.panels.wait_for_reader", Mock(side_effect=looks))
        app = fine(visit(PAGE, run="r"))
        assert app.error[0].value == "**The model is damaged**"
        assert LOADING in html(app)
        assert 'href="Examples?run=r&amp;example=' in html(app)
        assert "background:rgba(" not in html(app)
        assert len(charts(app)) == 3
    fine(app.run())
    assert LOADING not in html(app)
    assert html(app).count("background:rgba(") > 8


def test_a_model_that_could_not_be_read_is_tried_again(run, monkeypatch):
    run_files._opening.clear()
    run_files._classifier.clear()
    with monkeypatch.context() as patch:
        error = StcError("The model is damaged")
        patch.setattr(run_files, "_open", Mock(side_effect=error))
        with pytest.raises(StcError, match="damaged"):
            run_files.classifier(run)
    assert run_files.classifier(run).classes_ is not None


@pytest.mark.parametrize("address", ["99999", "mlp.6.99999.max", "nonsense", "a.b"])
def test_a_neuron_that_was_not_kept_is_said_to_be_missing(address):
    app = fine(visit(PAGE, run="r", neuron=address))
    assert f"This run kept no neuron {escape(address)}" in said(app)


def test_a_neuron_is_found_by_its_place_or_by_its_number(run):
    row = run.neurons.iloc[5]
    address = f"{row['site']}.{row['index']}.{row['pooling']}"
    for name in (address, str(row["neuron"])):
        app = fine(visit(PAGE, run="r", neuron=name))
        assert title(app) == neuron_names(run.neurons)[int(row["neuron"])]


def test_the_effect_inside_the_model_is_measured_on_a_click(run, monkeypatch):
    monkeypatch.setattr("ui.cache.effects.READ_TEXTS", 4)
    monkeypatch.setattr(effects, "MOST_REFERENCE", 12)
    app = fine(visit(PAGE, run="r", side="In the model"))
    assert "each of 20 random sets" in said(app)
    next(b for b in app.button if b.label == "Measure").click()
    app = fine(app.run(timeout=60))
    assert len(charts(app)) == 4
    shown = said(app)
    assert "% of the change comes from this neuron itself" in shown
    assert "random neurons of the same sites" in shown
    assert "The accuracy goes from" in shown
    # What was measured is shown at once when the page is drawn again.
    assert len(charts(fine(app.run()))) == 4


def test_the_neurons_of_a_class_are_changed_together(run, monkeypatch):
    monkeypatch.setattr("ui.cache.effects.READ_TEXTS", 4)
    monkeypatch.setattr(effects, "MOST_REFERENCE", 12)
    monkeypatch.setattr(effects, "N_RANDOM", 2)
    names = classes_of(run.neurons)
    app = fine(visit(PAGE, run="r", side="In the model"))
    change = next(box for box in app.selectbox if box.label == "Change")
    own = [one for one in change.options if one.startswith("Kept neurons that speak")]
    assert {one.rpartition(" for ")[2] for one in own} <= set(names) and own
    app = fine(change.select(own[0]).run())
    next(b for b in app.button if b.label == "Measure").click()
    app = fine(app.run(timeout=60))
    weights = run.neurons[[f"weight:{name}" for name in names]].to_numpy()
    label = own[0].rpartition(" for ")[2]
    places = run.neurons.loc[weights.argmax(axis=1) == names.index(label)]
    n = len(places[["site", "index"]].drop_duplicates())
    assert "the last layer more than" in said(app)
    (asked, measured) = next(reversed(cached_effects._kept().effects.items()))
    assert asked[1].chosen == ("class", label)
    assert count_neurons(measured.intervention.neurons) == n


@pytest.mark.parametrize(("side", "is_above"), [("Use", True), ("Texts", False)])
def test_a_panel_that_measures_stands_above_the_map(run, side, is_above):
    app = fine(visit(PAGE, run="r", side=side))
    drawn = [getattr(one, "key", None) or one.type for one in app.main]
    assert (drawn.index("side") < drawn.index("neuron_chart")) == is_above


def test_steering_by_nothing_is_said():
    state = {"inside_how": "steer", "inside_steer": 0.0}
    app = fine(visit(PAGE, run="r", side="In the model", state=state))
    assert "Steering by 0 changes nothing" in said(app)


def test_how_often_other_rows_keep_a_neuron_is_told(run):
    stability = run.stability
    app = fine(visit(PAGE, run="r", neuron="3"))
    times = round(stability["frequency"][3] * stability["n_selections"])
    assert f"Chosen on {times} of 10 halves of the rows, " in said(app)
    assert " of 10 draws of other seeds." in said(app)
    told = next(one for one in app.expander if one.label.startswith("How stable"))
    assert "We chose the neurons again" in told.markdown[0].value
    table = told.dataframe[0].value
    of_layers = table.loc[table["part"].str.startswith("layer ")]
    assert of_layers["kept"].sum() == stability["kept"] == len(run.neurons)


def test_the_words_beside_the_neurons_stand_in_a_table(
    run, run_folder, tmp_path, monkeypatch
):
    """Only of a classifier that reads words."""
    before = len(fine(visit(PAGE, run="r")).expander)
    copied = shutil.copytree(run_folder, tmp_path / "copy")
    (other := tmp_path / "home").mkdir()
    home = at_home(other, monkeypatch, words=copied)
    run = Run.open(home / "words")
    classes = run.metrics["classes"]
    weight = np.zeros((len(classes), 2), np.float32)
    weight[1] = [3, 4]
    saved = read_json(run.folder / "model" / "classifier.json")
    write_json(run.folder / "model" / "classifier.json", {**saved, "format": 4})
    path = run.folder / "model" / "word_readout.safetensors"
    save_word_readouts(path, [WordReadout(("lost", "card lost"), weight)])
    facts = {"selected": 2, "share": 0.3, "gain": 0.021, "error": 0.01}
    metrics = {**run.metrics, "words": facts}
    write_json(run.folder / "metrics.json", metrics)
    app = fine(visit(PAGE, run="words"))
    assert len(app.expander) == before + 1
    (table,) = [one.value for one in app.dataframe if "raises" in one.value.columns]
    assert table["word"].tolist() == ["card lost", "lost"]
    assert table["raises"].tolist() == [classes[1]] * 2
    assert "+2.1 points on held-out texts (standard error 1.0)" in said(app)


def test_what_is_used_is_measured_drawn_and_sorts_the_map(
    tmp_path: Path, run_folder: Path, monkeypatch
):
    shutil.copytree(run_folder, tmp_path / "runs" / "own")
    monkeypatch.setattr(effects, "MOST_REFERENCE", 20)
    monkeypatch.setattr("ui.cache.effects.READ_TEXTS", 4)
    app = fine(visit(PAGE, run="own", side="Use"))
    assert "use" not in app.segmented_control(key="neuron_order").options
    before = len(charts(app))
    next(b for b in app.button if b.label == "Measure").click()
    app = fine(app.run(timeout=60))
    assert len(charts(app)) == before + 1
    assert "Rank correlation of what is read and what is used" in said(app)
    used = Run.open(tmp_path / "runs" / "own").neuron_usage
    app = fine(visit(PAGE, run="own", order="use"))
    best = used.loc[used["effect"].idxmax()]
    assert title(app).startswith(f"{best['site']} #{best['index']}")
    assert "from the most used on" in said(app)
    places = len(used.drop_duplicates(["site", "index"]))
    assert f"used {best['effect']:.3f} (rank 1 of {places:,})" in said(app)


def test_a_site_is_sorted_by_how_often_other_rows_choose_its_neurons(run):
    app = fine(visit(PAGE, run="r", order="chosen"))
    shares = run.neuron_stability.set_index("neuron")
    least = shares[["frequency", "bootstrap", "seeds"]].min(axis=1)
    assert "from the most often chosen on" in said(app)
    names = neuron_names(run.neurons)
    most = run.neurons.loc[(least == least.max()).to_numpy()]
    assert title(app) == names[int(most.loc[most["importance"].idxmax(), "neuron"])]


def test_a_text_is_patched_with_the_activations_of_another(run, monkeypatch):
    monkeypatch.setattr(effects, "MOST_REFERENCE", 20)
    state = {"inside_how": "patch"}
    app = fine(visit(PAGE, run="r", side="In the model", state=state))
    patch = next(b for b in app.button if b.label == "Patch")
    fine(patch.click().run())
    assert "Type both texts." in said(app)
    app.text_area(key="patch_donor").set_value("please refund the money")
    next(b for b in app.button if b.label == "Patch").click()
    app = fine(app.run(timeout=60))
    table = next(one.value for one in app.dataframe if "patched" in one.value)
    assert set(table["class"]) <= set(run.metrics["classes"])
    assert "the other text is" in said(app)
