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

if (data.per_class.length) {
  const chart = document.getElementById("ap"), more = document.getElementById("ap-all");
  let all = false;
  more.hidden = data.per_class.length <= CLASSES_AT_FIRST;
  more.addEventListener("click", () => {
    all = true;
    more.hidden = true;
    drawClasses(chart, data, all);
  });
  draws.push(() => drawClasses(chart, data, all));
}
if (data.curves.length) draws.push(buildCurves(document.getElementById("curves"), data.curves));

if (data.videos.length) {
  document.querySelector(".browser").hidden = false;
  const view = new VideoView(data.labels);
  const list = new VideoList(data.videos, data.labels, (video, byReader) => {
    view.show(video);
    if (!byReader) return;
    history.replaceState(null, "", `#${new URLSearchParams({ video: video.name })}`);
    const name = document.getElementById("video-name");
    const box = name.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) name.scrollIntoView({ block: "start" });
  });
  const linked = () => {
    const name = new URLSearchParams(location.hash.slice(1)).get("video");
    return data.videos.find((video) => video.name === name);
  };
  list.draw();
  list.choose(linked() ?? data.videos[0], false);
  if (linked()) document.getElementById("videos").scrollIntoView();
  window.addEventListener("hashchange", () => linked() && list.choose(linked(), false));
  draws.push(() => view.draw());
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
