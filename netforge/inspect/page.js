"use strict";
(() => {
  const root = document.documentElement;
  const tip = document.getElementById("tip");
  const themes = ["auto", "light", "dark"];
  const button = document.getElementById("theme");

  // Light and dark: "auto" follows the system. Some browsers keep no storage for files; the choice then lasts a page.
  const stored = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("netforge-theme");
      localStorage.setItem("netforge-theme", value);
    } catch { /* no storage here */ }
    return null;
  };
  const show = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.textContent = { auto: "Colours: auto", light: "Colours: light", dark: "Colours: dark" }[theme];
    button.dataset.theme = theme;
  };
  show(themes.includes(stored()) ? stored() : "auto");
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.dataset.theme) + 1) % themes.length];
    show(next);
    stored(next);
  });

  // Tooltips: text of data-tip, beside the pointer or above what has the focus.
  const place = (text, x, y) => {
    tip.textContent = text;
    tip.style.display = "block";
    const box = tip.getBoundingClientRect();
    const left = x + 14 + box.width > innerWidth - 6 ? x - 14 - box.width : x + 14;
    tip.style.left = Math.max(6, left) + "px";
    tip.style.top = Math.max(6, Math.min(y + 14, innerHeight - box.height - 6)) + "px";
  };
  const hideTip = () => { tip.style.display = "none"; };
  const tipped = (event) => event.target.closest && event.target.closest("[data-tip]");
  document.addEventListener("pointermove", (event) => {
    const at = tipped(event);
    if (at) place(at.dataset.tip, event.clientX, event.clientY);
    else if (!event.target.closest || !event.target.closest("[data-chart] svg")) hideTip();
  });
  document.addEventListener("focusin", (event) => {
    const at = tipped(event);
    if (!at) return;
    const box = at.getBoundingClientRect();
    place(at.dataset.tip, box.left, box.bottom);
  });
  document.addEventListener("focusout", hideTip);
  document.addEventListener("scroll", hideTip, { passive: true, capture: true });
  window.netforge = { tip: place, hideTip };

  // Copy buttons.
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("button[data-copy]");
    if (!copy) return;
    const text = copy.parentElement.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(copy.parentElement.querySelector("pre"));
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });

  // Curves: buttons show and hide them and change the scale; the pointer reads values.
  const digits = (value) => value === null ? "" : String(Number(value.toPrecision(5)));
  const wire = (chart) => {
    const svg = chart.querySelector("svg");
    const hidden = new Set();
    const hide = (number, off) => {
      if (off) hidden.add(number); else hidden.delete(number);
      for (const part of svg.querySelectorAll(`[data-part="${number}"]`)) part.classList.toggle("off", off);
    };
    for (const toggle of chart.querySelectorAll("button[data-series]")) {
      const number = Number(toggle.dataset.series);
      if (toggle.getAttribute("aria-pressed") === "false") hide(number, true);
      toggle.addEventListener("click", () => {
        hide(number, !hidden.has(number));
        toggle.setAttribute("aria-pressed", String(!hidden.has(number)));
      });
    }
    const scale = chart.querySelector("button[data-scale]");
    if (scale) scale.addEventListener("click", () => {
      chart.dataset.chosen = chart.dataset.shown = chart.dataset.shown === "log" ? "linear" : "log";
      scale.setAttribute("aria-pressed", String(chart.dataset.shown === "log"));
    });
    const source = chart.querySelector("script");
    if (!source) return; // points with tooltips of their own
    const data = JSON.parse(source.textContent);
    const cursor = svg.querySelector(".cursor");
    const leave = () => { cursor.style.visibility = "hidden"; hideTip(); };
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = (event.clientX - box.left) * data.width / box.width;
      if (at < data.left - 8 || at > data.right + 8) return leave();
      const x = data.low + (at - data.left) * (data.high - data.low) / (data.right - data.left);
      const shown = data.series.map((one, number) => [one, number]).filter(([one, number]) => !hidden.has(number) && one.x.length);
      let nearest = null;
      for (const [one] of shown) {
        const candidate = one.x[closest(one.x, x)];
        if (nearest === null || Math.abs(candidate - x) < Math.abs(nearest - x)) nearest = candidate;
      }
      if (nearest === null) return leave();
      const spot = data.left + (nearest - data.low) * (data.right - data.left) / (data.high - data.low);
      cursor.setAttribute("x1", spot);
      cursor.setAttribute("x2", spot);
      cursor.style.visibility = "visible";
      const lines = shown.map(([one]) => {
        const index = closest(one.x, nearest);
        const off = one.x[index] === nearest ? "" : ` (at ${digits(one.x[index])})`;
        return `${one.name}: ${one.y[index] === null ? "not finite" : digits(one.y[index])}${off}`;
      });
      place([`${data.x} ${digits(nearest)}`, ...lines].join("\n"), event.clientX, event.clientY);
    });
  };
  const closest = (values, x) => {
    let low = 0, high = values.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - values[low - 1] <= values[low] - x ? low - 1 : low;
  };
  window.netforge.wire = wire;

  // Cards are packed without gaps: the grid gets thin rows, and each card spans as many of them as it is high.
  const ROW = 4, GAP = 16;
  const grid = document.querySelector("main");
  const pack = (cards) => {
    const spans = cards.map((card) => Math.ceil((card.getBoundingClientRect().height + GAP) / ROW));
    cards.forEach((card, number) => { card.style.gridRowEnd = `span ${spans[number]}`; });
  };
  const resized = new ResizeObserver((entries) => pack(entries.map((entry) => entry.target)));
  const packed = (nodes) => {
    const cards = [...nodes].filter((node) => node.nodeType === Node.ELEMENT_NODE && node.tagName !== "SCRIPT");
    pack(cards);
    for (const card of cards) resized.observe(card);
  };
  grid.classList.add("packed");
  packed(grid.children);
  new MutationObserver((changes) => { for (const change of changes) packed(change.addedNodes); }).observe(grid, { childList: true });
  for (const chart of document.querySelectorAll("[data-chart]")) wire(chart);
})();
