// What all charts share, and the charts of the overview.

const OKABE_ITO = {
  // readable on the background: 3:1 or better
  light: ["#0072b2", "#d55e00", "#00805f", "#b8608f", "#444444"],
  dark: ["#56b4e9", "#e69f00", "#19b48a", "#cc79a7", "#f0e442"],
};
const DASHES = ["solid", "4px,3px", "1px,3px", "8px,3px,2px,3px"];
const CLASSES_AT_FIRST = 24;

/** Colours and type of the page, for plotly. */
function look() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "muted", "line", "soft", "truth", "above", "below", "edge", "cursor"];
  return {
    ...Object.fromEntries(names.map((name) => [name, color(name)])),
    series: OKABE_ITO[document.documentElement.dataset.theme] ?? OKABE_ITO.light,
    font: getComputedStyle(document.body).fontFamily,
  };
}

/** Plotly reads a little HTML in its texts; names are not HTML. */
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

const pen = document.createElement("canvas").getContext("2d");

/** `text`, shortened to `px` pixels, ready for plotly. */
function fit(text, px, font) {
  pen.font = font;
  if (pen.measureText(text).width <= px) return plain(text);
  const characters = Array.from(text);
  while (characters.length && pen.measureText(`${characters.join("")}…`).width > px) characters.pop();
  return plain(`${characters.join("").trimEnd()}…`);
}

function baseLayout(colors, extra) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colors.font, size: 12, color: colors.muted },
    showlegend: false,
    dragmode: false,
    hoverlabel: { align: "left", bgcolor: colors.paper, bordercolor: colors.line, font: { color: colors.ink, size: 12, family: colors.font } },
    ...extra,
  };
}

function axis(colors, extra) {
  return {
    fixedrange: true, zeroline: false, showline: false, ticks: "", gridcolor: colors.line, gridwidth: 1,
    tickfont: { color: colors.muted, size: 11 }, automargin: false, ...extra,
  };
}

const CHART_OPTIONS = { displayModeBar: false, responsive: false, typesetMath: false, showTips: false, doubleClick: false };

function percent(value) {
  return value === null ? "–" : (100 * value).toFixed(1);
}

/** 83.4 -> "1:23.4" */
function clock(seconds, decimals = 1) {
  const sign = seconds < 0 ? "-" : "";
  const scale = 10 ** decimals;
  const total = Math.round(Math.abs(seconds) * scale);
  const s = total % (60 * scale), m = Math.floor(total / (60 * scale)) % 60, h = Math.floor(total / (3600 * scale));
  const tail = (s / scale).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return h ? `${sign}${h}:${String(m).padStart(2, "0")}:${tail}` : `${sign}${m}:${tail}`;
}

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A file name that may break after its separators. */
function breakable(name) {
  const parts = name.split(/(?<=[/_])/).flatMap((part) => [part, element("wbr")]);
  return element("bdi", {}, ...parts.slice(0, -1));
}

/** A legend entry: a coloured line or bar, and its name. */
function legendEntry(name, color, dash) {
  const mark = element("i", { class: dash ? "stroke" : "swatch" });
  if (dash) mark.style.borderTopStyle = { solid: "solid", "1px,3px": "dotted" }[dash] ?? "dashed";
  mark.style[dash ? "borderTopColor" : "backgroundColor"] = color;
  return element("span", {}, mark, element("bdi", {}, name));
}

/** Bars of AP per class with chance marked, best first. */
function drawClasses(node, data, all) {
  const colors = look();
  const rows = all ? data.per_class : data.per_class.slice(0, CLASSES_AT_FIRST);
  const models = data.models.length;
  const narrow = node.clientWidth < 520;
  const left = Math.round(Math.min(220, node.clientWidth * 0.36)), right = narrow ? 8 : 76;
  const pitch = models * 11 + 13;
  const labelFont = `12px ${colors.font}`;
  const at = (m) => rows.map((_, i) => i + (m - (models - 1) / 2) * (11 / pitch));
  const bars = data.models.map((model, m) => ({
    type: "bar", orientation: "h", width: 9 / pitch,
    y: at(m), x: rows.map((row) => 100 * (row.ap[m] ?? 0)),
    marker: { color: colors.series[m % colors.series.length] },
    text: rows.map((row) => (row.ap[m] === null ? "no positive frame" : percent(row.ap[m]))),
    textposition: "outside", constraintext: "none", cliponaxis: false, textfont: { color: colors.ink, size: 11 },
    customdata: rows.map((row) => [plain(row.name), percent(row.ap[m]), percent(row.chance), row.positives ?? "–", plain(model)]),
    hovertemplate: "%{customdata[0]}<br>%{customdata[4]}: AP %{customdata[1]} %, chance %{customdata[2]} %<br>%{customdata[3]} positive frames<extra></extra>",
  }));
  const chance = {
    type: "scatter", mode: "markers", hoverinfo: "skip",
    x: rows.map((row) => (row.chance === null || row.ap.every((ap) => ap === null) ? null : 100 * row.chance)), y: rows.map((_, i) => i),
    marker: { symbol: "line-ns-open", size: (pitch - 7) / 1.4, color: colors.ink, line: { width: 2 } },
  };
  const sides = rows.flatMap((row, i) => [
    { x: 0, xref: "paper", xanchor: "right", xshift: -8, y: i, text: fit(row.name, left - 14, labelFont), showarrow: false, font: { color: colors.ink, size: 12 } },
    ...(narrow ? [] : [{ x: 1, xref: "paper", xanchor: "right", xshift: right, y: i, text: (row.positives ?? 0).toLocaleString("en"), showarrow: false, font: { size: 11 } }]),
  ]);
  const header = narrow ? [] : [{ x: 1, xref: "paper", xanchor: "right", xshift: right, y: 1, yref: "paper", yanchor: "bottom", text: "positives", showarrow: false, font: { size: 11 } }];
  const layout = baseLayout(colors, {
    height: rows.length * pitch + 34, margin: { l: left, r: right, t: 24, b: 10 }, bargap: 0, barmode: "overlay",
    xaxis: axis(colors, { range: [0, 108], side: "top", tickvals: [0, 25, 50, 75, 100], ticktext: ["0", "25", "50", "75", "100 %"] }),
    yaxis: axis(colors, { range: [rows.length - 0.5, -0.5], showgrid: false, showticklabels: false }),
    annotations: [...sides, ...header],
  });
  Plotly.react(node, [...bars, chance], layout, CHART_OPTIONS);
  const legend = document.getElementById("ap-legend");
  const mark = element("span", {}, element("i", { class: "tick" }), "chance");
  legend.replaceChildren(...data.models.map((model, m) => legendEntry(`${model}, mean ${percent(data.mean_ap[m])} %`, colors.series[m % colors.series.length])), mark);
}

/** Columns of a training log by what they measure. */
function panels(columns) {
  const names = Object.keys(columns).filter((name) => name !== "epoch" && columns[name].some((value) => value !== null));
  const kind = (name) => (name === "lr" ? "learning rate" : name.endsWith("map") ? "mAP %" : "loss");
  return ["loss", "mAP %", "learning rate"]
    .map((title) => ({ title, names: names.filter((name) => kind(name) === title) }))
    .filter((panel) => panel.names.length);
}

function drawCurve(node, columns, panel) {
  const colors = look();
  const epochs = columns.epoch ?? columns[panel.names[0]].map((_, i) => i);
  const scale = panel.title === "mAP %" ? 100 : 1;
  const traces = panel.names.map((name, i) => ({
    type: "scatter", mode: epochs.length > 1 ? "lines" : "markers", name: plain(name.replaceAll("_", " ")), connectgaps: true,
    x: epochs, y: columns[name].map((value) => (value === null ? null : value * scale)),
    line: { color: colors.series[i % colors.series.length], width: 2, dash: DASHES[i % DASHES.length] },
    marker: { color: colors.series[i % colors.series.length], size: 7 },
    hovertemplate: "%{y:.4~g}",
  }));
  const annotations = [];
  if (panel.title === "mAP %") {
    const values = traces[0].y, best = Math.max(...values.filter((value) => value !== null)), at = values.indexOf(best);
    traces.push({ type: "scatter", mode: "markers", x: [epochs[at]], y: [best], hoverinfo: "skip", marker: { size: 9, color: colors.paper, line: { width: 2, color: colors.series[0] } } });
    const late = at > epochs.length * 0.6;
    annotations.push({ x: epochs[at], y: best, text: `best ${best.toFixed(1)}, epoch ${epochs[at]}`, showarrow: false, xanchor: late ? "right" : "left", xshift: late ? -8 : 8, yshift: 12, font: { color: colors.ink, size: 11 } });
  }
  const layout = baseLayout(colors, {
    height: 170, margin: { l: 44, r: 10, t: 16, b: 24 }, hovermode: "x unified", annotations,
    xaxis: axis(colors, { showgrid: false, showline: true, linecolor: colors.line, nticks: 8 }),
    yaxis: axis(colors, { nticks: 5, rangemode: panel.title === "loss" ? "normal" : "tozero", tickformat: panel.title === "learning rate" ? "~e" : "" }),
  });
  Plotly.react(node, traces, layout, CHART_OPTIONS);
}

/** One block per model, one small chart per kind of number. Returns a function that draws them. */
function buildCurves(container, curves) {
  const charts = [];
  for (const { model, columns } of curves) {
    const grid = element("div", { class: "panels" });
    for (const panel of panels(columns)) {
      const legend = element("span", { class: "legend" });
      const chart = element("div", { class: "chart", role: "img", "aria-label": `${model}: ${panel.names.join(", ")} per epoch` });
      grid.append(element("figure", {}, element("figcaption", {}, element("span", {}, panel.title), legend), chart));
      charts.push({ columns, panel, legend, chart });
    }
    container.append(element("h3", {}, element("bdi", {}, model)), grid);
  }
  return () => {
    const colors = look();
    for (const { columns, panel, legend, chart } of charts) {
      drawCurve(chart, columns, panel);
      const entries = panel.names.map((name, i) => legendEntry(name.replaceAll("_", " "), colors.series[i % colors.series.length], DASHES[i % DASHES.length]));
      legend.replaceChildren(...(entries.length > 1 ? entries : []));
    }
  };
}
