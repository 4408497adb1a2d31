// The charts of a benchmark: rows with their intervals, and the label curve.

const data = JSON.parse(document.getElementById("data").textContent);
const themeButton = document.getElementById("theme");

function nameTheme() {
  themeButton.textContent = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark";
}

/** A row per model; one colour for those that see RGB alone at test. */
function drawFigures(node) {
  const colors = look(), [rgb, more] = colors.series;
  drawRows(node, data.rows.map((row) => ({ ...row, color: row.rgb ? rgb : more })), data.chance);
  const entries = [legendEntry("RGB alone at test", rgb, DASHES[0])];
  if (data.rows.some((row) => !row.rgb)) entries.push(legendEntry("more than RGB", more, DASHES[0]));
  if (data.chance !== null) entries.push(legendEntry("chance", colors.muted, DASHES[2]));
  document.getElementById("rows-legend").replaceChildren(...entries);
}

function redraw() {
  const rows = document.getElementById("rows-chart"), curve = document.getElementById("curve-chart");
  if (rows) drawFigures(rows);
  if (curve) drawLabelCurve(curve, document.getElementById("curve-legend"), data.curve);
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
