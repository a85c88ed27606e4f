"""What a newcomer adds in one place works everywhere: a dummy of each is added here."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from typer.main import get_command

from helpers.models.tiny import fresh_backbone, tiny_backbone
from helpers.problems import kkt, make
from helpers.toy_features import SITES
from helpers.toy_features import make as toy_task
from stc_core.activations.extract import extract
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.pooling import equal_lengths, pool, pool_groups
from stc_core.backbone.structure.sites import SITE_FINDERS, BlockCalls, Point
from stc_core.classifiers.persistence import About, load_classifier, save_classifier
from stc_core.cli.app import app
from stc_core.config import SETTING_PARTS, TrainConfig
from stc_core.errors import StcError
from stc_core.heads.attribution import contributions, token_shares
from stc_core.heads.head import SparseHead
from stc_core.poolings import POOLING_RULES, PoolingRule
from stc_core.probes import fit
from stc_core.probes.device import upload
from stc_core.probes.fista import fit_paths
from stc_core.probes.penalties import L1, PENALTIES
from stc_core.probes.problem import pose_problem
from stc_core.probes.solver import fit_path
from stc_core.recipe_table import RECIPES, Recipe
from stc_core.recipes.registry import recipe_code
from stc_core.report.report import html_report
from stc_core.runs.run import Run
from stc_core.selection.stc import fit_stc
from stc_core.types import SITE_KINDS, Feature, PooledSite, Site
from ui.shell.page_list import ADAPT, PAGES, result_page
from ui.train.settings import methods

TEXTS = ["good film", "a bad plot", "good", "the plot of a good film is bad"]


def second(values: np.ndarray) -> int:
    """The position of the second token, of the only one where there is no second."""
    return min(1, len(values) - 1)


def second_with_mask(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    rows = [torch.nonzero(row)[:2].flatten()[-1] for row in mask]
    return torch.stack([h[at] for h, at in zip(hidden, rows, strict=True)]).float()


def one_hot(values: np.ndarray) -> np.ndarray:
    weights = np.zeros(values.shape)
    weights[second(values)] = 1
    return weights


@pytest.fixture
def second_token(monkeypatch) -> str:
    """A pooling that nobody else has: the second token of a text."""
    rule = PoolingRule(
        lambda hidden, out: out.copy_(hidden[:, min(1, hidden.shape[1] - 1)]),
        second_with_mask,
        one_hot,
        "The number on the left is that of the second token.",
    )
    monkeypatch.setitem(POOLING_RULES, "second", rule)
    return "second"


def test_a_pooling_is_computed_alike_with_and_without_a_mask(second_token: str):
    lengths = [1, 2, 2, 5]
    hidden = torch.randn(4, 5, 3)
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    grouped = pool_groups(hidden, equal_lengths(lengths), second_token)
    assert torch.equal(grouped, pool(hidden, mask, second_token))


def test_a_pooling_is_asked_for_read_attributed_and_saved(second_token: str, tmp_path):
    assert TrainConfig(poolings=(second_token,)).poolings == (second_token,)
    backbone = tiny_backbone()
    wanted = PooledSite.parse(f"resid.2.{second_token}")
    stored = extract(backbone, TEXTS, [wanted], folder=tmp_path).read(wanted)
    ids = backbone.tokenize(TEXTS).ids
    read = backbone.token_activations(ids, [wanted.site])
    states = [np.asarray(layers[wanted.site]) for layers in read]
    by_hand = np.stack([row[second(row)] for row in states])
    np.testing.assert_allclose(stored, by_hand, atol=2e-3)  # stored in float16

    features = tuple(Feature(wanted.site, second_token, i) for i in (0, 3))
    head = SparseHead(
        features,
        np.array([0.1, -0.2], np.float32),
        np.array([1.0, 2.0], np.float32),
        np.array([[1.0, 2.0], [-1.0, 0.5]], np.float32),
        np.zeros(2, np.float32),
        ("a", "b"),
    )
    hidden = {wanted.site: states[3]}
    shares = token_shares(head, hidden)[wanted.site]
    logits = head.logits(by_hand[3:, [0, 3]])[0]
    np.testing.assert_allclose(shares.sum(0), logits, atol=1e-5)
    assert (np.flatnonzero(np.abs(shares).sum(1)) == [1]).all()
    parts = contributions(head, by_hand[3, [0, 3]])
    np.testing.assert_allclose(parts.sum(1), logits, atol=1e-5)

    save_classifier(
        tmp_path / "model",
        head,
        np.array(["a", "b"]),
        about=About.of(backbone),
        params={},
    )
    assert load_classifier(tmp_path / "model")[0].features == features


def test_a_classifier_by_a_pooling_that_is_gone_is_refused(
    second_token: str, tmp_path, monkeypatch
):
    head = SparseHead(
        (Feature(Site(1, "resid"), second_token, 0),),
        np.ones(1, np.float32),
        np.ones(1, np.float32),
        np.ones((2, 1), np.float32),
        np.zeros(2, np.float32),
        ("a", "b"),
    )
    about = About.of(tiny_backbone())
    save_classifier(tmp_path, head, np.array(["a", "b"]), about=about, params={})
    monkeypatch.delitem(POOLING_RULES, second_token)
    with pytest.raises(StcError, match=r"features by first.*got by second"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("pooling", ["first", "last", "max"])
def test_tokens_without_a_share_do_not_matter(pooling: str):
    """A value that is not finite elsewhere must not reach the pooled value."""
    values = np.array([1.0, -np.inf, 2.0, -np.inf, 3.0])
    rule = POOLING_RULES[pooling]
    assert rule.value(values) == {"first": 1, "last": 3, "max": 3}[pooling]
    assert rule.shares(values).tolist().count(1) == 1


def test_a_name_that_no_pooling_has_is_refused():
    with pytest.raises(StcError, match=r"poolings.*first or last or max or mean"):
        TrainConfig(poolings=("second",))


def ffn_output(seen: BlockCalls) -> tuple[Point, int] | None:
    """What the down-projection gives."""
    down = seen.down
    if down is None or down.output is None:
        return None
    return Point(down.module, down.times, "output"), down.output[-1]


@pytest.fixture
def ffn_backbone(monkeypatch) -> Backbone:
    """A tiny backbone whose sites are of one more kind: the output of its FFNs."""
    monkeypatch.setitem(SITE_KINDS, "ffn", "FFN outputs")
    monkeypatch.setitem(SITE_FINDERS, "ffn", ffn_output)
    return fresh_backbone()


def test_a_kind_of_site_is_found_read_and_named(ffn_backbone: Backbone, tmp_path):
    assert TrainConfig(kinds=("ffn",)).kinds == ("ffn",)
    site = Site.parse("ffn.1")
    assert ffn_backbone.widths[site] == ffn_backbone.d_model
    block = ffn_backbone.block(1)
    assert block is not None
    wanted = PooledSite(site, "first")
    seen: list[torch.Tensor] = []
    down = dict(block.named_modules())["output.dense"]
    hook = down.register_forward_hook(lambda *call: seen.append(call[-1]))
    try:
        read = extract(ffn_backbone, TEXTS[:1], [wanted], folder=tmp_path).read(wanted)
    finally:
        hook.remove()
    np.testing.assert_allclose(
        read[0], seen[-1].reshape(-1, read.shape[1])[0], atol=2e-3
    )


def test_every_kind_of_site_has_a_finder():
    assert SITE_KINDS.keys() == SITE_FINDERS.keys()


class DoubleL1(L1):
    """2 sum |W_kj|: its probe at C is the L1 probe at C / 2."""

    def value(self, W):
        return 2 * super().value(W)

    def prox(self, V, step):
        return super().prox(V, 2 * step)

    def dual_norm(self, G):
        return super().dual_norm(G) / 2

    def distance(self, W, G, lam):
        return super().distance(W, G, 2 * lam)


class SquaredL1(DoubleL1):
    """Said to be no norm, so no solver here can certify its optimum."""

    is_norm = False


@pytest.fixture
def double(monkeypatch) -> str:
    monkeypatch.setitem(PENALTIES, "double", DoubleL1())
    return "double"


@pytest.mark.parametrize("K", [2, 3])
def test_a_penalty_is_minimised_by_the_solver_that_can(double: str, K: int):
    X, y = make(K)
    Cs = np.array([0.1, 0.4])
    path = fit_path(X, y, penalty=double, Cs=Cs, tol=1e-3, max_iter=2000)
    plain = fit_path(X, y, penalty="l1", Cs=Cs / 2, tol=1e-3, max_iter=2000)
    assert path.kkt.max() <= 1e-3
    np.testing.assert_allclose(path.coef, plain.coef, atol=1e-3)
    assert kkt(path, 1, X, y, PENALTIES[double]) <= 2e-3


def test_a_solver_refuses_what_it_cannot_minimise(double: str, monkeypatch):
    """Else a probe of one objective would be certified as one of another."""
    monkeypatch.setitem(PENALTIES, "squared", SquaredL1())
    X, y = make(3)
    with pytest.raises(StcError, match="penalty SquaredL1: expected a norm"):
        fit_path(X, y, penalty="squared")
    given = {"n_class": 3, "class_weight": None, "sample_weight": None}
    problem = pose_problem(X, y, PENALTIES[double], **given)
    with pytest.raises(StcError, match="penalty DoubleL1: expected one of L1, Group"):
        fit_paths([upload(problem, "cpu")])


def test_what_the_gpu_does_not_solve_is_solved_by_the_cpu(double: str, monkeypatch):
    monkeypatch.setattr(fit, "GPU_CELLS", 1)
    X, y = make(2)
    rows = np.arange(len(y))
    (found,) = fit.fit_probes(
        lambda _: X,
        y,
        rows[::2],
        rows[1::2],
        pooled_sites=[PooledSite.parse("resid.1.mean")],
        penalty=double,
        device="cuda",
    )
    assert kkt(found.path, 0, X[::2], y[::2], PENALTIES[double]) <= 0.11


class MeanGapProbe(NamedTuple):
    """A probe that is no regression: how far the means of two classes are apart."""

    pooled_site: PooledSite
    importance: np.ndarray
    macro_f1: float


DUMMY = "helpers.runs.dummy_recipe"


@pytest.fixture
def dummy(monkeypatch) -> str:
    """A recipe that nobody else has, and no preset is called as."""
    recipe = Recipe(
        DUMMY,
        "Answers the most frequent class.",
        settings=("tune",),
        baselines={"coin": "A coin"},
        page="Adapt",
    )
    monkeypatch.setitem(RECIPES, "dummy", recipe)
    return "dummy"


def test_a_recipe_is_run_by_the_command_and_read_as_any_other(dummy: str, tmp_path):
    table = tmp_path / "t.csv"
    rows = [f"text {n},{'aab'[n % 3]}" for n in range(60)]
    table.write_text("\n".join(["text,label", *rows]))
    out = str(tmp_path / "run")
    train = get_command(app)
    train.main(
        ["train", str(table), "--recipe", dummy, "--epochs", "2", "--out", out],
        standalone_mode=False,
    )
    run = Run.open(out)
    assert run.done and run.config.train.recipe == dummy
    assert run.config.train.tune.epochs == 2
    assert run.metrics["test"]["accuracy"] == pytest.approx(2 / 3, abs=0.05)
    assert "tune: epochs" in html_report(run)


def test_a_recipe_is_offered_planned_and_has_its_page(dummy: str):
    assert methods()[dummy] == "Answers the most frequent class."
    assert result_page(dummy) == ADAPT
    backbone = tiny_backbone()
    settings = TrainConfig(recipe=dummy, max_layer=1)
    with pytest.raises(StcError, match="dummy: expected no limit of layers"):
        recipe_code(dummy).check(settings, backbone)
    with pytest.raises(StcError, match=r"recipe: expected stc or attention.*'none'"):
        TrainConfig(recipe="none")


def test_every_recipe_has_its_code_its_settings_and_its_page():
    for name, recipe in RECIPES.items():
        assert recipe_code(name).steps, name
        assert set(recipe.settings) <= SETTING_PARTS.keys(), name
        assert result_page(name) in PAGES
        assert recipe.sentence.endswith(".")
    used = {part for recipe in RECIPES.values() for part in recipe.settings}
    assert used == SETTING_PARTS.keys()


def test_another_kind_of_probe_can_choose_the_neurons():
    toy = toy_task()
    task = toy.task
    probes = []
    for site in SITES:
        X = toy.read(site)[task.train]
        y = task.codes[task.train]
        means = np.stack([X[y == k].mean(0) for k in range(len(task.classes))])
        gaps = (means.std(0) / (X.std(0) + 1e-6)) ** 2
        probes.append(MeanGapProbe(site, gaps, float(gaps.max())))
    fitted = fit_stc(toy.read, task, probes, budget=12)
    assert len(fitted.head.features) == 12
    read = np.stack(
        [
            toy.read(PooledSite(f.site, f.pooling))[:, f.index]
            for f in fitted.head.features
        ],
        1,
    )
    guess = fitted.head.logits(read[task.validation]).argmax(1)
    assert (guess == task.codes[task.validation]).mean() > 0.8
