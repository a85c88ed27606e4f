// Copies the address of the view, which the context keeps in step with what is shown.

const LABEL = "Copy link";
const SAID_MS = 2000;

export default function ({ parentElement }) {
  const button = parentElement.querySelector(".stc-copy");
  const said = button.querySelector("span");
  const field = parentElement.querySelector(".stc-copy-by-hand");
  let timer;
  field.hidden = true; // it has the address of another view
  said.textContent = LABEL;
  button.onclick = async () => {
    clearTimeout(timer);
    try {
      // Not there without https, but for this very machine; and a browser may refuse.
      await navigator.clipboard.writeText(window.location.href);
      field.hidden = true;
      said.textContent = "Copied";
      timer = setTimeout(() => (said.textContent = LABEL), SAID_MS);
    } catch {
      field.value = window.location.href;
      field.hidden = false;
      field.focus();
      field.select();
      said.textContent = "Copy it here";
    }
  };
  return () => clearTimeout(timer);
}
