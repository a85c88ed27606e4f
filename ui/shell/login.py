"""The page on which a user logs in, and the part of the sidebar that says who it is."""

import streamlit as st
from streamlit.errors import StreamlitAuthError

from stc_core.errors import StcError
from ui.shell.messages import show_error
from ui.state.account import (
    Account,
    account,
    area_of_user,
    has_login,
    look_at,
    named_areas,
    open_area,
    providers,
)

_ABOUT = "Your runs and tables are seen by you and by the admins of this app."
_AREA = "_area"


def require_user() -> Account | None:
    """The user who looks, who may come in; None where there is no login.

    Otherwise it draws the way to log in, and the page stops.
    """
    if not has_login():
        return None
    who = account()
    if who is None:
        _draw_login()
        st.stop()
        raise AssertionError("st.stop ends the page")
    if not who.is_admitted:
        st.title("You may not use this app", anchor=False)
        st.text(
            f"You are logged in as {who.name}, who is not among its users. Ask whoever "
            "runs the app to add you, or log in as someone else."
        )
        st.button("Log out", icon=":material/logout:", on_click=st.logout)
        st.stop()
    open_area(who)
    return who


def _draw_login() -> None:
    with st.container(horizontal_alignment="center", gap="small"):
        st.space("large")
        st.title(":material/biotech: STC Studio", anchor=False, width="content")
        st.markdown(f"Log in to look inside language models. {_ABOUT}", width="content")
        for name in providers() or [None]:
            label = "Log in" if name is None else f"Log in with {name}"
            if st.button(label, key=f"login_{name}", type="primary"):
                _log_in(name)


def _log_in(provider: str | None) -> None:
    """Send the browser to the provider, or say why that cannot be."""
    try:
        st.login(provider)
    except StreamlitAuthError as error:
        show_error(
            StcError(
                "the login",
                expected="a complete section auth in the secrets, and Authlib",
                got=str(error),
                remedy="Tell whoever runs the app; docs/login.md has the settings.",
            )
        )


def draw_account(who: Account) -> None:
    """Say who is logged in, with the way out; an admin chooses whose runs to see."""
    if who.is_admin:
        names = named_areas()
        st.session_state[_AREA] = str(area_of_user())
        st.selectbox(
            "Runs of",
            list(names),
            format_func=lambda folder: names[folder],
            key=_AREA,
            on_change=lambda: look_at(st.session_state[_AREA]),
        )
    st.text(who.name)  # as Markdown an address would be a link
    st.button("Log out", icon=":material/logout:", on_click=st.logout, type="tertiary")
