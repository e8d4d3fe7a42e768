
(() => {
  "use strict";
  const each = (query, act) => document.querySelectorAll(query).forEach(act);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // The reader's own zone; that of the window stays as a hint.
  const form = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" });
  each("time", (t) => {
    const part = {};
    for (const { type, value } of form.formatToParts(new Date(t.dateTime))) part[type] = value;
    t.title = t.textContent;
    t.textContent = part.weekday + " " + part.day + " " + part.month + " " + part.year + ", " +
      part.hour + ":" + part.minute + (part.second === "00" ? "" : ":" + part.second) + " " + part.timeZoneName;
  });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (document.querySelector("time")) each("[data-zone]", (p) => {
    p.hidden = false;
    p.textContent = "Times are in your own time zone" + (zone ? ", " + zone.replaceAll("_", " ") : "") + ".";
  });

  // By the server's clock where the reader's is wrong; a difference of seconds is the way here.
  const skew = Date.parse(document.documentElement.dataset.now) - Date.now() || 0;
  const clock = () => Date.now() + (Math.abs(skew) > 10000 ? skew : 0);

  const left = (ms) => {
    const s = Math.ceil(ms / 1000), part = (size, of) => Math.floor(s / size) % of, two = (n) => String(n).padStart(2, "0");
    const days = Math.floor(s / 86400), hours = part(3600, 24), minutes = part(60, 60);
    if (days) return days + (days > 1 ? "\u00a0days " : "\u00a0day ") + hours + "\u00a0h" + (days < 7 ? " " + two(minutes) + "\u00a0min" : "");
    const text = hours ? hours + "\u00a0h " + two(minutes) + "\u00a0min" : minutes + "\u00a0min";
    if (still) return s < 60 ? "less than a minute" : text;
    return (hours || minutes ? text + " " : "") + (hours || minutes ? two(s % 60) : s % 60) + "\u00a0s";
  };

  // With data-refresh the page is loaded anew so often, and once a countdown has run out: spread,
  // for many readers wait for the same moment. Without, the countdowns only count.
  const refresh = Number(document.documentElement.dataset.refresh) * 1000;
  let due = refresh ? clock() + refresh * (1 + Math.random() / 4) : Infinity;
  const counts = [];
  each("[data-to]", (at) => {
    const to = Date.parse(at.dataset.to);
    if (to > clock()) counts.push({ at, to, from: Date.parse(at.dataset.from) });
  });
  const tick = () => {
    const now = clock();
    for (const c of counts) {
      c.at.hidden = false;
      if (c.from) {
        c.at.firstElementChild.style.width = 100 * Math.min(1, Math.max(0, (now - c.from) / (c.to - c.from))) + "%";
      } else if (c.to > now) {
        c.at.textContent = c.at.dataset.say + " " + left(c.to - now);
      } else {
        c.at.textContent = c.at.dataset.over;
        if (refresh && !c.out) due = Math.min(due, now + 1000 + 4000 * Math.random());
        c.out = true;
      }
    }
    if (now >= due && navigator.onLine && document.visibilityState === "visible" && document.activeElement === document.body) {
      due = Infinity;
      location.reload();
    }
  };
  tick();
  setInterval(tick, still ? 10000 : 1000);
})();
