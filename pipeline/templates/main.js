// Puts the page together: reads the data, draws, and redraws when width or theme change.

const data = JSON.parse(document.getElementById("data").textContent);
const draws = [];

const themeButton = document.getElementById("theme");
const nameTheme = () => {
  themeButton.textContent = document.documentElement.dataset.theme === "dark" ? "Light" : "Dark";
};
themeButton.hidden = false;
themeButton.addEventListener("click", () => document.dispatchEvent(new Event("toggletheme")));
nameTheme();

if (data.protocols.length) {
  draws.push(() => drawResults(document.getElementById("results-charts"), data));
  draws.push(buildClasses(data));
}
if (data.curves.length) draws.push(buildCurves(document.getElementById("curves"), data.curves));
if (data.label_curve.length) {
  draws.push(() => drawLabelCurve(document.getElementById("label-curve"), document.getElementById("label-curve-legend"), data.label_curve));
}

if (data.videos.length) {
  document.querySelector(".browser").hidden = false;
  const view = new VideoView(data);
  const list = new VideoList(data.videos, data.labels, (video, byReader, time = null) => {
    view.show(video, time);
    if (!byReader) return;
    remember(video, null);
    const name = document.getElementById("video-name");
    const box = name.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) name.scrollIntoView({ block: "start" });
  });
  const linked = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    const time = Number.parseFloat(state.get("t")), name = state.get("video");
    const named = data.videos.find((video) => video.name === name);
    return Number.isFinite(time) ? [named ?? (name === null ? data.videos[0] : undefined), time] : [named, null];
  };
  const follow = () => {
    const [video, time] = linked();
    if (!video) return false;
    if (video === view.video && time !== null) {
      view.player.seek(time);
      return true;
    }
    list.chosen = video;
    list.draw();
    view.show(video, time);
    return true;
  };
  list.draw();
  if (follow()) document.getElementById("videos").scrollIntoView();
  else list.choose(data.videos[0], false);
  window.addEventListener("hashchange", follow);
  for (const link of document.querySelectorAll("[data-video]")) {
    link.addEventListener("click", () => list.choose(data.videos.find(({ id }) => id === link.dataset.video), true));
  }
  new Keys(view, list);
  draws.push(() => {
    view.draw();
    view.player.paint();
  });
}

const redraw = () => draws.forEach((draw) => draw());
redraw();
document.addEventListener("themechange", () => {
  nameTheme();
  redraw();
});
let width = innerWidth, waiting = 0;
window.addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's address bar changes the height alone
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 100);
});
