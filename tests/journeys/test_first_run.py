"""A person's way through the app in a real browser, from a table to predictions.

The server, the worker, the embedded backbone and Chromium are all real. The steps
share one page and build on each other, as they do for a person.
"""

import io
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlparse

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from helpers.browser.app_steps import choose, query, upload
from helpers.browser.browser import WAIT_MS, browser, listen, server, settled, window
from stc_core.display import formatted
from stc_core.export.bundle import write_bundle
from stc_core.interpret.neuron_table import (
    neuron_address,
    neuron_names,
    number_at,
    one_of,
)
from stc_core.runs.run import Run
from ui.neurons.map import MOST_LISTED

SENTENCE = "the courier threw my parcel over the fence and now it is lost"
NEW_TEXTS = (
    "where is my parcel",
    "i was charged twice this month",
    "the app crashes when i open the basket",
    "how do i reset my password",
)
FIND_POINT = """
([part, place]) => {
  const plot = [...document.querySelectorAll('.js-plotly-plot')].find(
    (one) => one._fullData.some((trace) => trace.type === part));
  const trace = plot._fullData.find((one) => one.type === part);
  plot.scrollIntoView({block: 'nearest'});
  const box = plot.getBoundingClientRect();
  const {_fullLayout: {xaxis, yaxis}} = plot;
  const custom = trace.customdata[place];
  return {
    x: box.x + xaxis._offset + xaxis.l2p(trace.x[place]),
    y: box.y + yaxis._offset + yaxis.l2p(trace.y[place]),
    custom: Array.isArray(custom) ? custom[0] : custom,
  };
}
"""


class Studio(NamedTuple):
    """A served app, and the browser that uses it."""

    address: str
    home: Path
    browser: Browser


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("studio")
    with browser() as opened:
        with server(home) as address:
            yield Studio(address, home, opened)


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[Page]:
    """The window that the person uses; nothing may go wrong in it, to the end."""
    opened = window(studio.browser)
    heard = listen(opened)
    yield opened
    assert not heard, heard
    opened.close()


@pytest.fixture(scope="module")
def trained(studio: Studio, page: Page, messages: Path) -> Run:
    """The run of the person's first way: a table in, columns, plan, start, result."""
    page.goto(studio.address)
    settled(page).get_by_role("button", name="Use my data").click()
    upload(page, messages)
    page.get_by_text("Rows in the file").wait_for()
    choose(page, "Id", "none")
    expect(page.get_by_test_id("stMain")).to_contain_text("240")
    page.get_by_role("button", name="Continue to Train").click()
    page.get_by_text("Time, about").wait_for(timeout=3 * WAIT_MS)  # times a model
    expect(settled(page).get_by_test_id("stMain")).to_contain_text("240")
    page.get_by_text("Settings", exact=True).click()
    name = "At most this many neurons"
    many = settled(page).get_by_role("spinbutton", name=name)
    many.fill("1024")  # so many that their map is drawn by WebGL
    many.press("Enter")
    settled(page).get_by_text("Exactly as many").click()
    settled(page).get_by_label("Name of the run").fill("left alone")
    page.get_by_label("Name of the run").press("Enter")
    settled(page).get_by_role("button", name="Start training").click()
    page.get_by_text("You can close this tab").wait_for()
    run = close_the_tab_and_come_back(studio, page)
    page.get_by_text("Compared with its baselines").wait_for(timeout=2 * WAIT_MS)
    settled(page)
    assert run.done and run.name == "left alone"
    return run


def close_the_tab_and_come_back(studio: Studio, page: Page) -> Run:
    """The run, which goes on while no page of the app is open."""
    link = page.url
    run = Run.open(studio.home / "runs" / query(page, "run"))
    page.goto("about:blank")  # as a closed tab, it takes its session along
    assert run.status["state"] in ("queued", "running")
    said = run.status["phase"], run.status["done"]
    end = time.monotonic() + 300
    while (run.status["phase"], run.status["done"]) == said:
        assert time.monotonic() < end, run.status
        assert run.status["state"] in ("queued", "running"), run.status
        time.sleep(0.1)
    page.goto(link)
    return run


def walk(page: Page, name: str) -> Page:
    """Go to a page by its link in the sidebar."""
    links = page.get_by_test_id("stSidebar").get_by_role("link", name=name)
    links.first.click()
    page.get_by_role("heading", name=name).first.wait_for()
    return settled(page)


def the_result_stands_beside_the_baselines(trained: Run, page: Page):
    words = page.get_by_test_id("stMain").inner_text()
    assert f"{trained.metrics['test']['accuracy']:.1%}"[:-1] in words
    for name in ("Neurons kept", "Layers read", "Training took"):
        assert name in words
    drawn = page.locator(".js-plotly-plot").first.inner_text()
    assert "This classifier" in drawn and "TF-IDF words" in drawn
    assert "points, 95 %:" in words  # the verdict, by the paired interval
    assert trained.config.data.id == "" and len(trained.corpus) == 240


def the_layer_curves_are_drawn(trained: Run, page: Page):
    walk(page, "Layers")
    plot = page.locator(".js-plotly-plot").first
    plot.locator(".scatterlayer .trace").first.wait_for()
    # Three poolings of two kinds of site.
    assert plot.locator(".legend .traces").count() == 6
    assert "This classifier" in plot.inner_text()
    # The curves, and the variability of the layers.
    assert page.locator(".js-plotly-plot").count() == 2
    said = page.get_by_test_id("stMain").inner_text()
    assert "scores highest" in said and "These findings in full" in said


def a_tab_is_in_the_link_and_keeps_what_was_chosen(trained: Run, page: Page):
    fewer = page.get_by_role("tab", name="Fewer neurons, fewer layers")
    back = page.get_by_role("tab", name="Layer by layer")
    baselines = page.get_by_role("switch", name="Baselines")
    page.get_by_text("Macro-F1", exact=True).click()
    settled(page).get_by_role("button", name="Curves").click()
    page.get_by_text("Baselines", exact=True).click()
    expect(baselines).not_to_be_checked()
    settled(page)
    fewer.click()
    page.wait_for_url("**layers=cheaper*")
    page.get_by_text("Highest layer").wait_for()
    # Depth, neurons, accuracy against cost.
    assert settled(page).locator(".js-plotly-plot").count() == 3
    expect(page.get_by_role("radio", name="Macro-F1")).to_be_checked()
    back.click()
    page.wait_for_url("**layers=curves*")
    settled(page)
    assert "TF-IDF words" not in page.locator(".js-plotly-plot").first.inner_text()
    fewer.click()
    page.wait_for_url("**layers=cheaper*")
    settled(page).reload()
    page.get_by_text("Highest layer").wait_for()
    expect(fewer).to_have_attribute("aria-selected", "true")
    settled(page)
    back.click()
    page.wait_for_url("**layers=curves*")
    assert settled(page).locator(".js-plotly-plot").count() == 2


def a_click_on_a_square_opens_its_neuron(trained: Run, page: Page):
    walk(page, "Neurons")
    page.locator(".js-plotly-plot .gl-canvas").first.wait_for(state="attached")
    target = page.evaluate(FIND_POINT, ["scattergl", 7])
    page.mouse.move(target["x"], target["y"])
    page.mouse.click(target["x"], target["y"])
    page.wait_for_url(f"**neuron={target['custom']}*")
    settled(page)
    row = trained.neurons.iloc[number_at(trained.neurons, target["custom"])]
    name = f"{row['site']} #{row['index']} · {row['pooling']}"
    page.get_by_role("heading", name=name).wait_for()
    assert query(page, "neuron") == str(target["custom"])
    assert page.get_by_role("heading", name=name).count() == 1


def the_texts_of_a_neuron_are_its_highest(trained: Run, page: Page):
    number = number_at(trained.neurons, query(page, "neuron"))
    values = np.asarray(trained.activations[:, number])
    texts = page.get_by_test_id("stHtml").last.inner_text()
    best = trained.corpus["text"].iloc[int(values.argmax())]
    assert best.split()[0] in texts and "explain" in texts
    assert f"{values.max():.3g}" in texts


COUNT_CLICKS = """
() => {
  window.clicksOnPoints = 0;
  for (const plot of document.querySelectorAll('.js-plotly-plot'))
    plot.on('plotly_click', () => { window.clicksOnPoints += 1; });
}
"""
RUNNING = """
() => document.querySelector('[data-testid=stApp]').dataset.testScriptState
  === 'running'
"""
"""The first click has been sent: under load Chromium takes longer than a person."""


def of_two_quick_clicks_none_undoes_the_other(trained: Run, page: Page):
    """The second is sent by a page that still shows, and says, what was before."""
    target = page.evaluate(FIND_POINT, ["scattergl", 3])
    side = page.get_by_role("radio", name="Correlated").element_handle()
    assert query(page, "neuron") != str(target["custom"])
    page.mouse.move(target["x"], target["y"])
    page.evaluate(COUNT_CLICKS)
    for _ in range(5):
        # Plotly answers a click on the point that it hovers over, once it does. A busy
        # browser may draw the chart anew just then: a person clicks again.
        page.locator(".hoverlayer .hovertext").first.wait_for()
        page.mouse.click(target["x"], target["y"])
        with suppress(TimeoutError):  # it may be over already: the second comes later
            page.wait_for_function(RUNNING, polling="raf", timeout=1500)
        if page.evaluate("window.clicksOnPoints"):
            break
        page.mouse.move(target["x"] + 1, target["y"])
    side.evaluate("one => one.click()")
    page.get_by_text("Pearson's r of the pooled values").wait_for()
    settled(page)
    assert query(page, "neuron") == str(target["custom"])
    page.get_by_role("radio", name="Texts").click()
    settled(page)


def a_neuron_that_is_not_listed_is_found_by_its_name(trained: Run, page: Page):
    names = neuron_names(trained.neurons)
    assert len(names) > MOST_LISTED
    now = number_at(trained.neurons, query(page, "neuron"))
    order = trained.neurons["neuron"].tolist()
    far = order[(order.index(now) + len(order) // 2) % len(order)]
    box = page.get_by_role("combobox", name="Neuron")
    box.click()
    box.fill(names[far])
    page.get_by_role("option", name=f"Add: {names[far]}").wait_for()
    box.press("Enter")
    page.wait_for_url(f"**neuron={neuron_address(one_of(trained.neurons, far))}*")
    settled(page)
    page.get_by_role("heading", name=names[far]).wait_for()


def a_copied_link_opens_the_same_neuron_elsewhere(
    trained: Run, page: Page, studio: Studio
):
    number = number_at(trained.neurons, query(page, "neuron"))
    row = trained.neurons.iloc[number]
    elsewhere = studio.browser.new_context()
    other = elsewhere.new_page()
    heard = listen(other)
    other.goto(page.url)
    name = f"{row['site']} #{row['index']} · {row['pooling']}"
    other.get_by_role("heading", name=name).wait_for(timeout=WAIT_MS)
    settled(other)
    assert query(other, "neuron") == query(page, "neuron") and not heard
    elsewhere.close()


def an_example_adds_up_to_its_logit(trained: Run, page: Page):
    page.get_by_role("link", name="explain").first.click()
    page.get_by_text("sums to logit").wait_for()
    settled(page)
    number = int(query(page, "example"))
    row = trained.predictions.iloc[number]
    words = page.get_by_test_id("stMain").inner_text()
    assert f"Row {trained.corpus['row'][number]}" in words and row["predicted"] in words
    assert page.locator(".js-plotly-plot").count() == 2


def a_typed_sentence_is_explained(trained: Run, page: Page):
    page.get_by_text("My own text").click()
    page.get_by_label("Your text").fill(SENTENCE)
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("sums to logit").wait_for()
    settled(page)
    found = trained.classifier().explain(SENTENCE)
    words = page.get_by_test_id("stMain").inner_text()
    logit = formatted(found["logits"][found["label"]], ".3f")
    assert f"sums to logit {logit}" in words
    assert "courier" in page.get_by_test_id("stHtml").first.inner_text()


def a_draft_stays_and_the_way_up_leaves_text_and_places(trained: Run, page: Page):
    assert query(page, "text") == SENTENCE and "neuron=" in page.url
    page.get_by_label("Your text").fill("a draft")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("Each of the likeliest classes").click()
    page.get_by_text("less likely classes are not shown").wait_for()
    assert settled(page).get_by_label("Your text").input_value() == "a draft"
    main = page.get_by_test_id("stMain")
    main.get_by_role("link", name=trained.name, exact=True).click()
    page.wait_for_function("!location.search.includes('text=')")
    settled(page).get_by_role("heading", name="Layers").wait_for()
    held = parse_qs(urlparse(page.url).query)
    assert held["run"] == [trained.folder.name]
    assert not {"layer", "neuron", "example"} & held.keys()
    # Likewise up from a layer on the very page that is open.
    page.goto(f"{page.url}&layer=3&kind=mlp")
    settled(page).get_by_text("Layer 3", exact=True).wait_for()
    main.get_by_role("link", name=trained.name, exact=True).click()
    page.wait_for_function("!/layer=|kind=/.test(location.search)")
    assert "Layer 3" not in settled(page).get_by_test_id("stMain").inner_text()


def a_file_is_labelled_and_downloaded(trained: Run, page: Page, tmp_path: Path):
    table = tmp_path / "new.csv"
    pd.DataFrame({"number": range(4), "text": NEW_TEXTS}).to_csv(table, index=False)
    walk(page, "Predict")
    upload(page, table)
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("button", name="Download CSV").wait_for()
    settled(page)
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download CSV").click()
    got = pd.read_csv(io.BytesIO(coming.value.path().read_bytes()))
    assert coming.value.suggested_filename == "new_predicted.csv"
    assert got["text"].tolist() == list(NEW_TEXTS)
    assert got["number"].tolist() == [0, 1, 2, 3]
    classes = trained.metrics["classes"]
    shares = got[[f"p:{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-3)  # four decimals
    best = [classes[place] for place in shares.argmax(axis=1)]
    assert got["predicted_label"].tolist() == best
    known = trained.classifier().predict(list(NEW_TEXTS)).tolist()
    assert got["predicted_label"].tolist() == known


def every_page_is_reached_by_its_link(trained: Run, page: Page, name: str):
    title = "STC Studio" if name == "Home" else name
    links = page.get_by_test_id("stSidebar").get_by_role("link", name=name)
    links.first.click()
    page.get_by_role("heading", name=title).last.wait_for()
    assert not settled(page).get_by_test_id("stException").count()


def another_run_can_be_begun(page: Page):
    walk(page, "Train").get_by_text("New run", exact=True).click()
    expect(settled(page).get_by_label("Name of the run")).to_have_value("")
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()


def the_run_goes_down_and_comes_up_again(
    trained: Run, page: Page, studio: Studio, tmp_path: Path
):
    name = trained.folder.name
    page.goto(f"{studio.address}/Runs?run={name}")
    settled(page).get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the bundle").click()
    bundle = tmp_path / started.value.suggested_filename
    started.value.save_as(bundle)
    assert bundle.name == f"{name}.zip"
    write_bundle(trained, tmp_path / "expected.zip")
    assert bundle.read_bytes() == (tmp_path / "expected.zip").read_bytes()
    page.goto(f"{studio.address}/Runs?run={name}")
    settled(page).get_by_text("Upload a run").click()
    page.locator("input[type=file]").first.set_input_files(str(bundle))
    page.get_by_text(f"is in the list now, in the folder {name}-2").wait_for()
    assert query(page, "run") == f"{name}-2"
    again = studio.home / "runs" / f"{name}-2"
    assert (again / "backbone" / "config.json").is_file()
    settled(page)


def test_a_person_goes_from_a_table_to_predictions(
    studio: Studio, trained: Run, page: Page, tmp_path: Path
):
    the_result_stands_beside_the_baselines(trained, page)
    the_layer_curves_are_drawn(trained, page)
    a_tab_is_in_the_link_and_keeps_what_was_chosen(trained, page)
    a_click_on_a_square_opens_its_neuron(trained, page)
    the_texts_of_a_neuron_are_its_highest(trained, page)
    of_two_quick_clicks_none_undoes_the_other(trained, page)
    a_neuron_that_is_not_listed_is_found_by_its_name(trained, page)
    a_copied_link_opens_the_same_neuron_elsewhere(trained, page, studio)
    an_example_adds_up_to_its_logit(trained, page)
    a_typed_sentence_is_explained(trained, page)
    a_draft_stays_and_the_way_up_leaves_text_and_places(trained, page)
    a_file_is_labelled_and_downloaded(trained, page, tmp_path)
    for name in ["Home", "Data", "Train", "Layers", "Predict"]:
        every_page_is_reached_by_its_link(trained, page, name)
    another_run_can_be_begun(page)
    the_run_goes_down_and_comes_up_again(trained, page, studio, tmp_path)
