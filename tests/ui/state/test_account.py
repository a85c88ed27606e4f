"""Who may come in, who may see all, and what is decided where nobody is logged in."""

from pathlib import Path

import pytest
from streamlit.runtime.secrets import AttrDict

from stc_core.errors import StcError
from stc_core.paths import area_of, areas, model_folders, runs_folder, runs_folders
from ui.state import account as module
from ui.state.account import account_of, area_of_user, is_owner

ANN = {
    "iss": "https://id.example.org",
    "sub": "17",
    "email": "Ann@Example.org",
    "email_verified": True,
}


@pytest.mark.parametrize(
    "rules, admitted, admin",
    [
        ({}, True, False),
        ({"users": []}, False, False),
        ({"users": ["ann@example.org"]}, True, False),
        ({"users": ["@example.org"]}, True, False),
        (
            {"users": ["@ample.org", "example.org", "@org", "nn@example.org"]},
            False,
            False,
        ),
        ({"users": ["17"]}, True, False),
        ({"users": [], "admins": ["ann@example.org"]}, True, True),
        ({"admins": ["17"]}, True, True),
        ({"admins": ["@other.org"]}, True, False),
    ],
)
def test_rules_say_who_comes_in(rules: dict, admitted: bool, admin: bool):
    who = account_of(ANN, rules)
    assert (who.is_admitted, who.is_admin) == (admitted, admin)


@pytest.mark.parametrize("claim", [False, None, "true"])
def test_an_address_that_is_not_verified_counts_for_nothing(claim: object):
    rules = {"users": ["ann@example.org"], "admins": ["@example.org"]}
    who = account_of({**ANN, "email_verified": claim}, rules)
    assert not who.is_admitted and not who.is_admin


def test_the_area_is_that_of_the_provider_and_its_user():
    """Another provider may give the same `sub` or address to someone else."""
    key = account_of(ANN, {}).key
    assert account_of({**ANN, "email": "new@example.org"}, {}).key == key
    assert account_of({**ANN, "sub": "18"}, {}).key != key
    assert account_of({**ANN, "iss": "https://other.org"}, {}).key != key


@pytest.mark.parametrize("rules", [{"admins": "ann@example.org"}, {"users": [1]}])
def test_a_list_that_is_none_is_told(rules: dict):
    with pytest.raises(StcError, match="a list of addresses"):
        account_of(ANN, rules)


def test_where_there_is_a_login_nobody_sees_what_is_not_theirs(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
):
    assert area_of_user() == own_home and is_owner()
    (own_home / "users" / "other" / "runs").mkdir(parents=True)
    monkeypatch.setattr(module, "has_login", lambda: True)
    with pytest.raises(StcError, match="logged in"):
        runs_folder()
    assert not is_owner()
    monkeypatch.setattr(module.st, "secrets", AttrDict({"auth": {}}))
    monkeypatch.setattr(module.st, "user", {"is_logged_in": True, **ANN})
    own = area_of(account_of(ANN, {}).key)
    assert runs_folder() == own / "runs"
    assert model_folders() == (own_home / "cached_models", own)
    module.look_at(str(own_home / "users" / "other"))  # which is for admins
    assert runs_folder() == own / "runs"


def test_the_queue_knows_the_runs_of_everyone(own_home: Path):
    (own_home / "users" / "other").mkdir(parents=True)
    assert areas() == [own_home, own_home / "users" / "other"]
    assert runs_folders()[1] == own_home / "users" / "other" / "runs"
