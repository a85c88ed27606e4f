// Copies the address of the view, which the context keeps in step with what is shown.

const LABEL = "Copy link";
const SAID_MS = 4000;
// An address that only the machine itself can open: the app listens nowhere else.
const HERE = ["localhost", "127.0.0.1", "[::1]"].includes(window.location.hostname);
const COPIED = HERE ? "Copied: opens on this machine only" : "Copied";
const ABOUT = HERE
  ? "This app is served to this machine alone, so nobody else can open its links. " +
    "To share a result, send the report or the bundle of the run (page Runs)."
  : "Whoever can open this app can open this view.";

export default function ({ parentElement }) {
  const button = parentElement.querySelector(".stc-copy");
  const said = button.querySelector("span");
  const field = parentElement.querySelector(".stc-copy-by-hand");
  let timer;
  field.hidden = true; // it has the address of another view
  said.textContent = LABEL;
  button.title = ABOUT;
  button.onclick = async () => {
    clearTimeout(timer);
    try {
      // Not there without https, but for this very machine; and a browser may refuse.
      await navigator.clipboard.writeText(window.location.href);
      field.hidden = true;
      said.textContent = COPIED;
      timer = setTimeout(() => (said.textContent = LABEL), SAID_MS);
    } catch {
      field.value = window.location.href;
      field.hidden = false;
      field.focus();
      field.select();
      said.textContent = HERE ? "Copy it here: for this machine only" : "Copy it here";
    }
  };
  return () => clearTimeout(timer);
}
