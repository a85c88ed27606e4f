// Puts the style of the pages into the head, once for the window, and says so.

const ID = "stc-page-style";

export default function ({ data, setTriggerValue }) {
  if (!document.getElementById(ID)) {
    const style = document.createElement("style");
    style.id = ID;
    style.textContent = data.style;
    document.head.append(style);
  }
  if (data.asks) setTriggerValue("styled", true);
}
