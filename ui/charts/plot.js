// Draws a Plotly figure and keeps the plot: the next figure changes it in place, which
// takes half the time of a new one, and nothing blinks.

const FADED = 0.72; // of the page's ink, for ticks and titles: a contrast of 5 or more
const FULL = {
  name: "fullscreen",
  title: "Fullscreen",
  icon: {
    width: 24,
    height: 24,
    path: "M5 5h5V3H3v7h2zm14 14h-5v2h7v-7h-2zM5 19v-5H3v7h7v-2zM19 5v5h2V3h-7v2z",
  },
  click: (place) =>
    document.fullscreenElement ? document.exitFullscreen() : place.requestFullscreen(),
};

// A picture cannot use the font of the page; in another one its words would be cut.
const PICTURE_FONT = "Arial, Helvetica, sans-serif";

/** The button that saves the plot as it is now, laid out anew in a font of all machines. */
function camera(Plotly, place) {
  return {
    name: "picture",
    title: "Download plot as a PNG",
    icon: Plotly.Icons.camera,
    click: () => {
      const drawn = { ...look(place), font: PICTURE_FONT };
      const { width, height } = place._fullLayout;
      const layout = { ...place.layout, template: template(drawn), width, height };
      const options = { format: "png", width, height, ...place.told.png };
      return Plotly.downloadImage({ data: place.data, layout }, options);
    },
  };
}

let library;

/** Plotly itself, which the app serves; asked for once, again only if it failed. */
function plotly(name) {
  library ??= new Promise((done, fail) => {
    const app = document.querySelector("script[src*='/static/js/index']").src;
    const script = document.createElement("script");
    script.src = new URL(`../../app/static/${name}`, app).href;
    script.onload = () => done(window.Plotly);
    script.onerror = () => fail(new Error(`${script.src} is not there`));
    document.head.append(script);
  }).catch((error) => {
    library = undefined;
    throw error;
  });
  return library;
}

/** A colour of the page as red, green, blue. */
function rgb(colour) {
  const probe = document.createElement("i");
  probe.style.color = colour;
  document.body.append(probe);
  const said = getComputedStyle(probe).color;
  probe.remove();
  return said.match(/[\d.]+/g).slice(0, 3).map(Number);
}

/** The colours and the font of the page around `place`. */
function look(place) {
  const style = getComputedStyle(place);
  const [text, paper, line, font] = ["text-color", "background-color", "border-color", "font"]
    .map((name) => style.getPropertyValue(`--st-${name}`).trim());
  const behind = rgb(paper);
  const mixed = rgb(text).map((part, at) =>
    Math.round(FADED * part + (1 - FADED) * behind[at]),
  );
  return { text, paper, line, font, ink: `rgb(${mixed.join(", ")})` };
}

/** What a figure leaves to the page it is on. */
function template({ text, paper, line, font, ink }) {
  const ticks = { color: ink, size: 12 };
  const title = { color: ink, size: 14 };
  const axis = {
    automargin: true,
    gridcolor: line,
    zerolinecolor: line,
    tickcolor: line,
    tickfont: ticks,
  };
  return {
    layout: {
      font: { color: ink, family: font, size: 12 },
      paper_bgcolor: paper,
      plot_bgcolor: paper,
      legend: { font: { color: text, size: 12 } },
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: text, family: font, size: 12 } },
      margin: { pad: 8 },
      xaxis: { ...axis, showgrid: false, title: { font: title, standoff: 20 } },
      yaxis: { ...axis, title: { font: title, standoff: 24 } },
    },
  };
}

/** Tell, also those who listen to the page, whether it is still being drawn. */
function busy(place, is) {
  place.setAttribute("aria-busy", String(is));
}

/** What Python needs of a click: the point, as Streamlit's own charts tell of it. */
function selection({ points }) {
  const plain = (value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
  const told = points.map(({ x, y, customdata }) => ({ x, y, customdata: plain(customdata) }));
  return { selection: { points: told } };
}

async function draw(place) {
  const { figure, library: name, clicks } = place.told;
  const Plotly = await plotly(name);
  const full = document.fullscreenElement === place;
  const [width, height] = full ? [innerWidth, innerHeight] : [place.clientWidth, undefined];
  if (place.told.figure !== figure) return; // another one came, and is being drawn
  const page = look(place);
  const wanted = JSON.stringify([figure, page, width, height]);
  if (!width || place.wanted === wanted) {
    busy(place, width > 0 && place.drawn !== wanted);
    return;
  }
  place.wanted = wanted;
  const { data, layout } = JSON.parse(figure);
  Object.assign(layout, { template: template(page), width });
  if (height) layout.height = height;
  layout.uirevision ??= figure; // what was zoomed or hidden stays, but for another figure
  layout.clickmode = clicks ? "event" : "none";
  layout.dragmode ??= clicks ? "pan" : "zoom";
  if (place.failed) place.textContent = ""; // not a plot that is still being made
  place.failed = false;
  // One object for all figures: for another button Plotly would begin anew.
  place.camera ??= camera(Plotly, place);
  await Plotly.react(place, data, layout, {
    displaylogo: false,
    modeBarButtons: [[place.camera, ...(document.fullscreenEnabled ? [FULL] : [])]],
  });
  if (!place.isConnected) {
    Plotly.purge(place);
    return;
  }
  if (!place.listens) {
    place.listens = true;
    place.on("plotly_click", (event) => place.told.click(selection(event)));
  }
  if (place.wanted !== wanted) return; // the next one is being drawn
  place.drawn = wanted;
  busy(place, false);
}

/** Draws what `place` was told of last, or says there why it cannot. */
async function shown(place) {
  try {
    await draw(place);
  } catch (error) {
    window.Plotly?.purge(place);
    place.listens = place.wanted = undefined;
    place.failed = true;
    place.textContent = `This chart cannot be drawn: ${error.message}. Reload the page.`;
    busy(place, false);
    console.warn(error);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".stc-plot");
  const click = (event) => data.clicks && setTriggerValue("click", event);
  place.told = { ...data, click };
  place.setAttribute("aria-label", data.alt);
  place.style.height = `${data.height}px`;
  busy(place, true);
  if (!place.watch) {
    place.watch = new ResizeObserver(() => shown(place));
    place.watch.observe(place);
  }
  shown(place);
  return () => {
    // It is also called of an old figure when the next one is there already.
    if (place.isConnected) return;
    place.watch.disconnect();
    window.Plotly?.purge(place);
  };
}
