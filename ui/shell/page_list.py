"""The pages: their files, names and icons, in the groups of the sidebar."""

from stc_core.recipe_table import RECIPES

HOME = "app.py"
DATA = "pages/1_Data.py"
TRAIN = "pages/2_Train.py"
LAYERS = "pages/3_Layers.py"
NEURONS = "pages/4_Neurons.py"
EXAMPLES = "pages/5_Examples.py"
PREDICT = "pages/6_Predict.py"
ADAPT = "pages/7_Adapt.py"
HIERARCHY = "pages/8_Hierarchy.py"
ERRORS = "pages/9_Errors.py"
COMPARE = "pages/10_Compare.py"
RUNS = "pages/11_Runs.py"
PAGES = {
    HOME: ("Home", ":material/home:"),
    DATA: ("Data", ":material/table_view:"),
    TRAIN: ("Train", ":material/model_training:"),
    LAYERS: ("Layers", ":material/stacked_line_chart:"),
    NEURONS: ("Neurons", ":material/grain:"),
    EXAMPLES: ("Examples", ":material/chat_bubble:"),
    HIERARCHY: ("Hierarchy", ":material/account_tree:"),
    ERRORS: ("Errors", ":material/rule:"),
    COMPARE: ("Compare", ":material/compare_arrows:"),
    PREDICT: ("Predict", ":material/batch_prediction:"),
    ADAPT: ("Adapt", ":material/tune:"),
    RUNS: ("Runs", ":material/list_alt:"),
}
GROUPS = {
    "Start": (HOME, DATA, TRAIN),
    "Look inside": (LAYERS, NEURONS, EXAMPLES, HIERARCHY),
    "Trust": (ERRORS, COMPARE),
    "Use and manage": (PREDICT, ADAPT, RUNS),
}
"""The pages in the groups of the sidebar; each page is in one of them."""
OF_A_RUN = (LAYERS, NEURONS, EXAMPLES, HIERARCHY, ERRORS, COMPARE, PREDICT, ADAPT)
"""The pages that show one run, and so the place in it that the user looks at."""


def result_page(recipe: str) -> str:
    """The page that shows the result of a recipe; Layers for one that is not known."""
    title = RECIPES[recipe].page if recipe in RECIPES else "Layers"
    return next(file for file, (name, _) in PAGES.items() if name == title)


CURVES = "curves"
"""The tab of the page Layers that shows single layers."""
