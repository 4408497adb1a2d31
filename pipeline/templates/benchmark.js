// The charts of a benchmark: rows with their intervals, and the label curve.

const data = JSON.parse(document.getElementById("data").textContent);
const themeButton = document.getElementById("theme");

function nameTheme() {
  themeButton.textContent = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark";
}

/** A row is a line for the interval, ticks for the seeds, a dot for the mean; filled: RGB alone at test. */
function drawRows(node) {
  const colors = look(), [rgb, more] = colors.series;
  const color = (row) => (row.rgb ? rgb : more);
  const left = Math.round(Math.min(190, node.clientWidth * 0.4));
  const lines = data.rows.filter((row) => row.interval).map((row) => ({
    type: "scatter", mode: "lines", x: row.interval, y: [row, row].map((r) => data.rows.indexOf(r)),
    line: { color: color(row), width: 2 }, hoverinfo: "skip",
  }));
  const seeds = data.rows.map((row, i) => ({
    type: "scatter", mode: "markers", x: row.values, y: row.values.map(() => i), hoverinfo: "skip",
    marker: { symbol: "line-ns-open", size: 7, color: color(row), line: { width: 1 } },
  }));
  const known = data.rows.map((row, i) => ({ row, i })).filter(({ row }) => row.mean !== null);
  const means = {
    type: "scatter", mode: "markers", x: known.map(({ row }) => row.mean), y: known.map(({ i }) => i),
    marker: { size: 10, color: known.map(({ row }) => color(row)) },
    text: known.map(({ row }) => plain(row.name)), hovertemplate: "%{text}: %{x:.1f} %<extra></extra>",
  };
  const shapes = data.chance === null ? [] : [{
    type: "line", x0: data.chance, x1: data.chance, y0: 0, y1: 1, yref: "paper", line: { color: colors.muted, width: 1, dash: "2px,3px" },
  }];
  const annotations = data.rows.map((row, i) => ({
    x: 0, xref: "paper", xanchor: "right", xshift: -8, y: i, text: fit(row.name, left - 14, `12px ${colors.font}`), showarrow: false, font: { color: colors.ink, size: 12 },
  }));
  const layout = baseLayout(colors, {
    height: data.rows.length * 26 + 40, margin: { l: left, r: 12, t: 24, b: 8 }, shapes, annotations,
    xaxis: axis(colors, { side: "top", nticks: 8 }),
    yaxis: axis(colors, { range: [data.rows.length - 0.5, -0.5], showgrid: false, showticklabels: false }),
  });
  Plotly.react(node, [...lines, ...seeds, means], layout, CHART_OPTIONS);
  const entries = [legendEntry("RGB alone at test", rgb, DASHES[0])];
  if (data.rows.some((row) => !row.rgb)) entries.push(legendEntry("more than RGB", more, DASHES[0]));
  if (data.chance !== null) entries.push(legendEntry("chance", colors.muted, DASHES[2]));
  document.getElementById("rows-legend").replaceChildren(...entries);
}

/** Lines by number of labelled videos; whiskers are the deviation over draws, dashed rows see more than RGB. */
function drawLabelCurve(node) {
  const colors = look();
  const dash = (line) => DASHES[line.rgb ? 0 : 1];
  const traces = data.curve.map((line, i) => {
    const color = colors.series[i % colors.series.length];
    return {
      type: "scatter", mode: "lines+markers", name: plain(line.name), x: line.x, y: line.y,
      error_y: { type: "data", array: line.std, color, thickness: 1, width: 3 },
      line: { color, width: 2, dash: dash(line) }, marker: { color, size: 7 }, hovertemplate: "%{y:.1f} %",
    };
  });
  const ticks = data.curve[0].x;
  const layout = baseLayout(colors, {
    height: 360, margin: { l: 44, r: 12, t: 12, b: 44 }, hovermode: "x unified",
    xaxis: axis(colors, { type: "log", tickvals: ticks, ticktext: ticks.map(String), title: { text: "labelled videos", font: { size: 11 } }, showgrid: false, showline: true, linecolor: colors.line }),
    yaxis: axis(colors, { nticks: 6 }),
  });
  Plotly.react(node, traces, layout, CHART_OPTIONS);
  const entries = data.curve.map((line, i) => legendEntry(line.name, colors.series[i % colors.series.length], dash(line)));
  document.getElementById("curve-legend").replaceChildren(...entries);
}

function redraw() {
  const rows = document.getElementById("rows-chart"), curve = document.getElementById("curve-chart");
  if (rows) drawRows(rows);
  if (curve) drawLabelCurve(curve);
}

themeButton.hidden = false;
themeButton.addEventListener("click", () => document.dispatchEvent(new Event("toggletheme")));
document.addEventListener("themechange", () => {
  nameTheme();
  redraw();
});
window.addEventListener("resize", redraw);
nameTheme();
redraw();
