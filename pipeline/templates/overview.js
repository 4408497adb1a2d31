// The charts of the overview: results by protocol, classes, training.

const CLASSES_AT_FIRST = 24;

/** A model has one colour on the whole page, the final one the first. */
function modelColor(name, models) {
  const colors = look().models;
  return colors[Math.max(0, models.indexOf(name)) % colors.length];
}

/** Every protocol's rows as dots with their intervals. */
function drawResults(container, data) {
  container.replaceChildren(...data.protocols.map(({ name, rows }) => {
    const chart = element("div", { class: "chart", role: "img", "aria-label": `${name}: mean average precision of each model with its interval; the table has the same figures.` });
    return element("figure", {}, element("figcaption", {}, element("code", {}, name)), chart);
  }));
  [...container.querySelectorAll(".chart")].forEach((chart, i) => {
    const hundred = (value) => (value === null ? null : 100 * value);
    const { rows } = data.protocols[i];
    drawRows(chart, [...rows].reverse().map((row) => ({
      name: row.name, color: modelColor(row.name, data.models), mean: hundred(row.mean_ap), interval: row.interval?.map(hundred),
    })), hundred(rows[0].chance));
  });
}

/** Bars of AP per class by one protocol with chance marked, best first. */
function drawClasses(node, legend, { rows: results, classes }, models, all) {
  const colors = look();
  const rows = all ? classes : classes.slice(0, CLASSES_AT_FIRST);
  const count = results.length;
  const narrow = node.clientWidth < 520;
  const left = Math.round(Math.min(220, node.clientWidth * 0.36)), right = narrow ? 30 : 76;
  const pitch = count * 11 + 13;
  const labelFont = `12px ${colors.font}`;
  const at = (m) => rows.map((_, i) => i + (m - (count - 1) / 2) * (11 / pitch));
  const bars = results.map(({ name }, m) => ({
    type: "bar", orientation: "h", width: 9 / pitch,
    y: at(m), x: rows.map((row) => 100 * (row.ap[m] ?? 0)),
    marker: { color: modelColor(name, models) },
    text: rows.map((row) => (row.ap[m] === null ? "no positive frame" : percent(row.ap[m]))),
    textposition: "outside", constraintext: "none", cliponaxis: false, textfont: { color: colors.ink, size: 11 },
    customdata: rows.map((row) => [plain(row.name), percent(row.ap[m]), percent(row.chance), row.positives ?? "–", plain(name)]),
    hovertemplate: "%{customdata[0]}<br>%{customdata[4]}: AP %{customdata[1]} %, chance %{customdata[2]} %<br>%{customdata[3]} positives<extra></extra>",
  }));
  const chance = {
    type: "scatter", mode: "markers", hoverinfo: "skip",
    x: rows.map((row) => (row.chance === null || row.ap.every((ap) => ap === null) ? null : 100 * row.chance)), y: rows.map((_, i) => i),
    marker: { symbol: "line-ns-open", size: (pitch - 7) / 1.4, color: colors.ink, line: { width: 2 } },
  };
  const counted = !narrow && rows.some((row) => row.positives !== null);
  const sides = rows.flatMap((row, i) => [
    { x: 0, xref: "paper", xanchor: "right", xshift: -8, y: i, text: fit(row.name, left - 14, labelFont), showarrow: false, font: { color: colors.ink, size: 12 } },
    ...(counted ? [{ x: 1, xref: "paper", xanchor: "right", xshift: right, y: i, text: (row.positives ?? 0).toLocaleString("en"), showarrow: false, font: { size: 11 } }] : []),
  ]);
  const header = counted ? [{ x: 1, xref: "paper", xanchor: "right", xshift: right, y: 1, yref: "paper", yanchor: "bottom", text: "positives", showarrow: false, font: { size: 11 } }] : [];
  const layout = baseLayout(colors, {
    height: rows.length * pitch + 34, margin: { l: left, r: right, t: 24, b: 10 }, bargap: 0, barmode: "overlay",
    xaxis: axis(colors, { range: [0, 104], side: "top", tickvals: [0, 25, 50, 75, 100], ticktext: ["0", "25", "50", "75", "100 %"] }),
    yaxis: axis(colors, { range: [rows.length - 0.5, -0.5], showgrid: false, showticklabels: false }),
    annotations: [...sides, ...header],
  });
  Plotly.react(node, [...bars, chance], layout, CHART_OPTIONS);
  const mark = element("span", {}, element("i", { class: "tick" }), "chance");
  legend.replaceChildren(...results.map((row) => legendEntry(`${row.name}, mean ${percent(row.mean_ap)} %`, modelColor(row.name, models))), mark);
}

/** The class bars with their choice of protocol. Returns a function that draws them. */
function buildClasses(data) {
  const part = (id) => document.getElementById(id);
  let all = false;
  const choice = part("ap-protocol");
  choice.replaceChildren(...data.protocols.map(({ name }, i) => element("option", { value: i }, name)));
  choice.parentElement.hidden = data.protocols.length < 2;
  const draw = () => {
    const protocol = data.protocols[Number(choice.value)];
    part("ap-all").hidden = all || protocol.classes.length <= CLASSES_AT_FIRST;
    drawClasses(part("ap"), part("ap-legend"), protocol, data.models, all);
  };
  choice.addEventListener("input", draw);
  part("ap-all").addEventListener("click", () => {
    all = true;
    draw();
  });
  return draw;
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
