// What all charts share, and the charts that several pages have.

const OKABE_ITO = {
  // readable on the background: 3:1 or better
  light: ["#0072b2", "#d55e00", "#00805f", "#b8608f", "#444444"],
  dark: ["#56b4e9", "#e69f00", "#19b48a", "#cc79a7", "#f0e442"],
};
const MODEL_COLORS = {
  // the final model first; told apart from ground truth (vermilion, orange) and from one another
  light: ["#0072b2", "#00805f", "#a84f80", "#7a5c00", "#444444"],
  dark: ["#56b4e9", "#19b48a", "#d98cb6", "#f0e442", "#c3c9ce"],
};
const DASHES = ["solid", "4px,3px", "1px,3px", "8px,3px,2px,3px"];

/** Colours and type of the page, for plotly. */
function look() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "muted", "line", "soft", "truth", "above", "below", "edge", "cursor"];
  return {
    ...Object.fromEntries(names.map((name) => [name, color(name)])),
    series: OKABE_ITO[document.documentElement.dataset.theme] ?? OKABE_ITO.light,
    models: MODEL_COLORS[document.documentElement.dataset.theme] ?? MODEL_COLORS.light,
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

/**
 * Rows of figures: a line for the interval, ticks for single values, a dot for the mean.
 *
 * @param rows {name, color, mean, interval, values}, in percent
 * @param chance a line across all rows, or null
 */
function drawRows(node, rows, chance) {
  const colors = look();
  const left = Math.round(Math.min(190, node.clientWidth * 0.4));
  const lines = rows.filter((row) => row.interval).map((row) => ({
    type: "scatter", mode: "lines", x: row.interval, y: [row, row].map((r) => rows.indexOf(r)),
    line: { color: row.color, width: 2 }, hoverinfo: "skip",
  }));
  const single = rows.map((row, i) => ({
    type: "scatter", mode: "markers", x: row.values ?? [], y: (row.values ?? []).map(() => i), hoverinfo: "skip",
    marker: { symbol: "line-ns-open", size: 7, color: row.color, line: { width: 1 } },
  }));
  const known = rows.map((row, i) => ({ row, i })).filter(({ row }) => row.mean !== null);
  const means = {
    type: "scatter", mode: "markers", x: known.map(({ row }) => row.mean), y: known.map(({ i }) => i),
    marker: { size: 10, color: known.map(({ row }) => row.color) },
    text: known.map(({ row }) => plain(row.name) + (row.interval ? `<br>95 %: ${row.interval.map((x) => x.toFixed(1)).join(" to ")} %` : "")),
    hovertemplate: "%{text}<br>%{x:.1f} %<extra></extra>",
  };
  const shapes = chance === null ? [] : [{
    type: "line", x0: chance, x1: chance, y0: 0, y1: 1, yref: "paper", line: { color: colors.muted, width: 1, dash: "2px,3px" },
  }];
  const annotations = rows.map((row, i) => ({
    x: 0, xref: "paper", xanchor: "right", xshift: -8, y: i, text: fit(row.name, left - 14, `12px ${colors.font}`), showarrow: false, font: { color: colors.ink, size: 12 },
  }));
  const layout = baseLayout(colors, {
    height: rows.length * 26 + 40, margin: { l: left, r: 12, t: 24, b: 8 }, shapes, annotations,
    xaxis: axis(colors, { side: "top", nticks: 8, range: spanOf(rows, chance) }),
    yaxis: axis(colors, { range: [rows.length - 0.5, -0.5], showgrid: false, showticklabels: false }),
  });
  Plotly.react(node, [...lines, ...single, means], layout, CHART_OPTIONS);
}

/** From the lowest figure to the highest, and a little more. */
function spanOf(rows, chance) {
  const figures = [chance, ...rows.flatMap((row) => [row.mean, ...(row.interval ?? []), ...(row.values ?? [])])];
  const known = figures.filter((value) => value !== null && value !== undefined);
  if (!known.length) return [0, 100];
  const low = Math.min(...known), high = Math.max(...known), pad = Math.max(1, 0.06 * (high - low));
  return [Math.max(0, low - pad), Math.min(100, high + pad)];
}

/** Lines by number of labelled videos; whiskers are the deviation over draws, dashed lines see more than RGB. */
function drawLabelCurve(node, legend, curve) {
  const colors = look();
  const dash = (line) => DASHES[line.rgb ? 0 : 1];
  const traces = curve.map((line, i) => {
    const color = colors.series[i % colors.series.length];
    return {
      type: "scatter", mode: "lines+markers", name: plain(line.name), x: line.x, y: line.y,
      error_y: { type: "data", array: line.std, color, thickness: 1, width: 3 },
      line: { color, width: 2, dash: dash(line) }, marker: { color, size: 7 }, hovertemplate: "%{y:.1f} %",
    };
  });
  const ticks = curve[0].x;
  const layout = baseLayout(colors, {
    height: 360, margin: { l: 44, r: 12, t: 12, b: 44 }, hovermode: "x unified",
    xaxis: axis(colors, { type: "log", tickvals: ticks, ticktext: ticks.map(String), title: { text: "labelled videos", font: { size: 11 } }, showgrid: false, showline: true, linecolor: colors.line }),
    yaxis: axis(colors, { nticks: 6 }),
  });
  Plotly.react(node, traces, layout, CHART_OPTIONS);
  const entries = curve.map((line, i) => legendEntry(line.name, colors.series[i % colors.series.length], dash(line)));
  legend.replaceChildren(...entries);
}
