// The charts of a comparison of features: one video at a time.

const data = JSON.parse(document.getElementById("data").textContent);
const themeButton = document.getElementById("theme"), chooser = document.getElementById("video");

function nameTheme() {
  themeButton.textContent = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark";
}

function lineTrace(points, name, color, dash) {
  return {
    type: "scatter", mode: points.x.length > 1 ? "lines+markers" : "markers", name, x: points.x, y: points.y, connectgaps: false,
    line: { color, width: 2, dash }, marker: { color, size: 4 }, hovertemplate: "%{y:.4f}",
  };
}

function drawCosine(video) {
  const colors = look(), [first, second] = colors.series;
  const traces = [lineTrace(video.as_is, "equal steps", second, DASHES[1])];
  if (data.moved) traces.push(lineTrace(video.aligned, "along the line", first, DASHES[0]));
  const layout = baseLayout(colors, {
    height: 240, margin: { l: 52, r: 10, t: 12, b: 40 }, hovermode: "x unified",
    xaxis: axis(colors, { title: { text: "step of B", font: { size: 11 } }, showgrid: false, showline: true, linecolor: colors.line }),
    yaxis: axis(colors, { nticks: 6 }),
  });
  Plotly.react("cosine", traces, layout, CHART_OPTIONS);
  const entries = [legendEntry("equal steps", second, DASHES[1])];
  if (data.moved) entries.push(legendEntry("along the line", first, DASHES[0]));
  document.getElementById("cosine-legend").replaceChildren(...entries);
}

function drawMatch(video) {
  const colors = look(), [first, second] = colors.series;
  const last = video.steps_b - 1;
  const found = {
    type: "scatter", mode: "markers", x: video.match.x, y: video.match.y, customdata: video.match.likeness,
    marker: { color: first, size: 6, opacity: video.match.likeness.map((like) => 0.15 + 0.85 * Math.max(0, like)) },
    hovertemplate: "step %{x} of B is like step %{y:.2f} of A<br>cosine of what changes %{customdata:.3f}<extra></extra>",
  };
  const fitted = {
    type: "scatter", mode: "lines", x: [0, last], y: [data.shift, data.ratio * last + data.shift], hoverinfo: "skip",
    line: { color: second, width: 1.5, dash: DASHES[1] },
  };
  const layout = baseLayout(colors, {
    height: 340, margin: { l: 52, r: 10, t: 12, b: 40 },
    xaxis: axis(colors, { title: { text: "step of B", font: { size: 11 } }, showline: true, linecolor: colors.line }),
    yaxis: axis(colors, { title: { text: "step of A", font: { size: 11 } }, nticks: 8 }),
  });
  Plotly.react("match", [fitted, found], layout, CHART_OPTIONS);
  document.getElementById("match-legend").replaceChildren(
    legendEntry("most like it (fainter: less)", first), legendEntry("the line", second, DASHES[1]),
  );
}

function redraw() {
  const video = data.videos[Number(chooser.value) || 0];
  drawCosine(video);
  drawMatch(video);
}

chooser.replaceChildren(...data.videos.map((video, i) => element("option", { value: i }, video.name)));
chooser.addEventListener("change", redraw);
themeButton.hidden = false;
themeButton.addEventListener("click", () => document.dispatchEvent(new Event("toggletheme")));
document.addEventListener("themechange", () => {
  nameTheme();
  redraw();
});
window.addEventListener("resize", redraw);
nameTheme();
redraw();
