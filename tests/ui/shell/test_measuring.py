"""A measurement shows how far it is, can be ended, and tells a mistake."""

from streamlit.testing.v1 import AppTest

from ui.shell.measuring import measured

assert measured  # its import sets the environment, before a test is watched


def _page() -> None:
    import streamlit as st

    from stc_core.errors import StcError
    from ui.shell.measuring import measured

    def work(stage):
        progress = stage("Reading, batch")
        progress(1, 4)
        if st.session_state.get("fails"):
            raise StcError("table", got="no rows", remedy="Add rows.")
        if st.session_state.get("looks"):
            st.stop()  # as a click elsewhere does: what is drawn stays
        progress(4, 4)
        return 7

    st.text(f"found {measured(work)}")


def test_what_was_measured_comes_back_and_the_button_goes():
    app = AppTest.from_function(_page, default_timeout=60).run()
    assert app.text[0].value == "found 7"
    assert not app.button and not app.get("progress")


def test_meanwhile_there_are_a_bar_and_a_button_that_ends_it():
    app = AppTest.from_function(_page, default_timeout=60)
    app.session_state["looks"] = True
    app.run()
    assert [one.label for one in app.button] == ["Cancel"]
    assert app.get("progress")[0].proto.text == "Reading, batch 1 of 4"
    assert not app.text


def test_a_mistake_is_told_in_place_of_the_bar():
    app = AppTest.from_function(_page, default_timeout=60)
    app.session_state["fails"] = True
    app.run()
    assert app.text[0].value == "found None"
    assert "Add rows" in app.error[0].value
    assert not app.button and not app.exception
