"""Who looks at the app, and which part of the home is theirs.

There is a login if the secrets of Streamlit have a section `auth`. Then each user has
an area of the home, and sees no run, upload or trash of another one. The section `stc`
says who may come in (`users`) and who may look at every area (`admins`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from stc_core.errors import StcError
from stc_core.files import read_json, write_json
from stc_core.paths import area_of, areas, divide_home, home

_LOOKS_AT = "_looks_at_area"
_FILE = "user.json"


class Account(NamedTuple):
    """A user who is logged in; `key` names the area of the user.

    `is_admitted`: may use the app. `is_admin`: may look at the areas of others.
    """

    key: str
    name: str
    is_admitted: bool
    is_admin: bool


def has_login() -> bool:
    """Whether users log in: the secrets have a section `auth`."""
    return st.secrets.load_if_toml_exists() and "auth" in st.secrets


def providers() -> list[str]:
    """The providers to choose from, by name; none if there is a single one."""
    parts = st.secrets["auth"].items()
    return [k for k, v in parts if isinstance(v, Mapping) and "client_id" in v]


def account() -> Account | None:
    """The account of whoever looks at this page; None if nobody is logged in."""
    claims = dict(st.user) if st.user.get("is_logged_in") else {}
    if not claims.get("sub"):
        return None
    return account_of(claims, st.secrets.get("stc", {}))


def account_of(claims: Mapping[str, Any], rules: Mapping[str, Any]) -> Account:
    """The account of a user with these claims of a provider.

    `rules` may list `users` and `admins`: by address, by "@domain" for all addresses of
    a domain, or by the claim `sub`. Without `users` everyone may come in whom the
    provider lets in. An address counts only if the provider has verified it.
    """
    origin = f"{claims.get('iss', '')}\0{claims['sub']}"
    is_admin = _is_listed(claims, _list(rules, "admins"))
    is_user = "users" not in rules or _is_listed(claims, _list(rules, "users"))
    return Account(
        key=hashlib.sha256(origin.encode()).hexdigest()[:32],
        name=str(claims.get("email") or claims.get("name") or claims["sub"]),
        is_admitted=is_user or is_admin,
        is_admin=is_admin,
    )


def _list(rules: Mapping[str, Any], name: str) -> Sequence[str]:
    found = rules.get(name, ())
    if isinstance(found, str) or not all(isinstance(one, str) for one in found):
        raise StcError(
            f"secrets, stc.{name}",
            expected='a list of addresses, such as ["ann@example.org", "@example.org"]',
            got=repr(found),
        )
    return found


def _is_listed(claims: Mapping[str, Any], listed: Sequence[str]) -> bool:
    if claims["sub"] in listed:
        return True
    if claims.get("email_verified") is not True:
        return False
    address = str(claims.get("email", "")).casefold()
    domain = f"@{address.rpartition('@')[2]}"
    known = {one.casefold() for one in listed}
    return bool(address) and not known.isdisjoint((address, domain))


def is_owner() -> bool:
    """Whether whoever looks may change what holds for all users of the app."""
    who = account() if has_login() else None
    return not has_login() or (who is not None and who.is_admin)


def area_of_user() -> Path:
    """The area that this session may see; the home where there is no login.

    Raises StcError if nobody is logged in who may come in.
    """
    if not has_login():
        return home()
    who = account()
    if who is None or not who.is_admitted:
        raise StcError(
            "the runs of this app",
            expected="a user who is logged in",
            remedy="Log in again.",
        )
    chosen = st.session_state.get(_LOOKS_AT) if who.is_admin else None
    return area_of(who.key) if chosen is None else Path(chosen)


def open_area(who: Account) -> None:
    """Make the area of a user, with a file that says whose it is."""
    folder = area_of(who.key)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / _FILE).is_file():
        write_json(folder / _FILE, {"format": 1, "name": who.name})


def named_areas() -> dict[str, str]:
    """The areas by path, each with the name of its user; for admins."""
    return {str(folder): _name_of(folder) for folder in areas()}


def look_at(folder: str) -> None:
    """Let an admin see this area from now on."""
    st.session_state[_LOOKS_AT] = folder


def _name_of(folder: Path) -> str:
    if folder == home():
        return "without login"
    try:
        return str(read_json(folder / _FILE)["name"])
    except (StcError, KeyError):
        return folder.name


divide_home(area_of_user)
