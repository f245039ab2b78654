"use strict";
(() => {
  const RADIUS = 4.5, REACH = 14, MOST_ZOOM = 400, IMAGE = 30;
  const root = document.documentElement;

  const wire = (box) => {
    const data = JSON.parse(box.querySelector("script").textContent);
    const canvas = box.querySelector("canvas"), pen = canvas.getContext("2d");
    const about = box.querySelector(".about"), sprite = box.querySelector(".sprite");
    const count = data.x.length, hidden = new Set();
    let pictures = false, near = -1, pending = false;
    let wide = 0, high = 0, zoom = 1, left = 0, top = 0;  // pixel = left + x * zoom, top - y * zoom

    const everything = (axis) => data[axis].concat(data.centroids.map((centroid) => centroid[axis]));
    const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
    const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
    const bounds = [least(everything("x")), most(everything("x")), least(everything("y")), most(everything("y"))];
    const fit = () => {
      const margin = Math.min(36, wide / 10, high / 10);
      const across = Math.max(bounds[1] - bounds[0], 1e-9), up = Math.max(bounds[3] - bounds[2], 1e-9);
      zoom = Math.min((wide - 2 * margin) / across, (high - 2 * margin) / up);
      left = wide / 2 - (bounds[0] + bounds[1]) / 2 * zoom;
      top = high / 2 + (bounds[2] + bounds[3]) / 2 * zoom;
      draw();
    };
    const full = () => Math.min(wide / Math.max(bounds[1] - bounds[0], 1e-9), high / Math.max(bounds[3] - bounds[2], 1e-9));

    const SIGNS = {
      circle: (r) => pen.arc(0, 0, r, 0, 7),
      square: (r) => pen.rect(-0.9 * r, -0.9 * r, 1.8 * r, 1.8 * r),
      triangle: (r) => polygon([[0, -1.12], [1.04, 0.8], [-1.04, 0.8]], r),
      diamond: (r) => polygon([[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]], r),
      cross: (r) => {
        const a = 0.32, b = 1.05;
        polygon([[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a]], r);
      },
      star: (r) => polygon(Array.from({ length: 10 }, (_, k) => {
        const size = k % 2 ? 0.6 : 1.35, turn = k * Math.PI / 5;
        return [size * Math.sin(turn), -size * Math.cos(turn)];
      }), r),
    };
    const polygon = (corners, r) => {
      corners.forEach(([x, y], k) => { if (k) pen.lineTo(x * r, y * r); else pen.moveTo(x * r, y * r); });
      pen.closePath();
    };
    const sign = (x, y, kind, r) => {
      const { hue, shape } = data.classes[kind];
      pen.save();
      pen.translate(x, y);
      pen.beginPath();
      SIGNS[shape](r);
      pen.fillStyle = hue;
      pen.fill();
      pen.restore();
    };
    const tile = (k, x, y, size, to) => {
      const { columns, width, height } = data.sprite, factor = size / Math.max(width, height);
      const from = [k % columns * width, Math.floor(k / columns) * height];
      to.imageSmoothingEnabled = factor < 1;
      to.drawImage(sprite, ...from, width, height, x, y, width * factor, height * factor);
      return [width * factor, height * factor];
    };

    const paint = () => {
      pending = false;
      const ratio = devicePixelRatio || 1, style = getComputedStyle(canvas);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, wide, high);
      for (let k = 0; k < count; k++) {
        const kind = data.kinds[k], x = left + data.x[k] * zoom, y = top - data.y[k] * zoom;
        if (hidden.has(kind) || x < -IMAGE || y < -IMAGE || x > wide + IMAGE || y > high + IMAGE) continue;
        if (pictures) {
          pen.fillStyle = data.classes[kind].hue;
          const { width, height } = data.sprite, factor = IMAGE / Math.max(width, height);
          const w = width * factor, h = height * factor;
          pen.fillRect(x - w / 2 - 2, y - h / 2 - 2, w + 4, h + 4);
          tile(k, x - w / 2, y - h / 2, IMAGE, pen);
        } else sign(x, y, kind, RADIUS);
      }
      for (const centroid of data.centroids) {
        if (hidden.has(centroid.kind)) continue;
        const x = left + centroid.x * zoom, y = top - centroid.y * zoom;
        for (const [r, colour] of [[10, style.backgroundColor], [8.8, style.color], [7, style.backgroundColor]]) {
          pen.beginPath();
          pen.arc(x, y, r, 0, 7);
          pen.fillStyle = colour;
          pen.fill();
        }
        sign(x, y, centroid.kind, 4.5);
      }
      if (near >= 0) {
        pen.beginPath();
        pen.arc(left + data.x[near] * zoom, top - data.y[near] * zoom, pictures ? IMAGE * 0.75 : RADIUS + 4, 0, 7);
        pen.strokeStyle = style.color;
        pen.lineWidth = 2;
        pen.stroke();
      }
    };
    const draw = () => { if (!pending) { pending = true; requestAnimationFrame(paint); } };

    // The item under the pointer: its image, its class and its number.
    const look = (x, y) => {
      let best = (pictures ? IMAGE : REACH) ** 2, found = -1;
      for (let k = 0; k < count; k++) {
        if (hidden.has(data.kinds[k])) continue;
        const apart = (left + data.x[k] * zoom - x) ** 2 + (top - data.y[k] * zoom - y) ** 2;
        if (apart < best) { best = apart; found = k; }
      }
      if (found !== near) { near = found; draw(); }
      if (found < 0) { about.style.display = "none"; return; }
      about.textContent = "";
      if (sprite) {
        const small = document.createElement("canvas");
        const { width, height } = data.sprite, size = Math.max(96, Math.max(width, height));
        small.width = Math.round(width * size / Math.max(width, height));
        small.height = Math.round(height * size / Math.max(width, height));
        tile(found, 0, 0, size, small.getContext("2d"));
        about.append(small);
      }
      const name = document.createElement("b");
      name.textContent = data.classes[data.kinds[found]].name;
      about.append(name, document.createElement("br"), `${data.word} ${data.numbers[found]}`);
      about.style.display = "block";
      const right = x + 16 + about.offsetWidth > wide;
      about.style.left = Math.max(0, right ? x - 16 - about.offsetWidth : x + 16) + "px";
      about.style.top = Math.max(0, Math.min(y + 16, high - about.offsetHeight)) + "px";
    };
    const forget = () => { near = -1; about.style.display = "none"; draw(); };

    // Zoom and pan: wheel, buttons and keys, drag, two fingers.
    const scale = (factor, x, y) => {
      const to = Math.max(full() / 4, Math.min(full() * MOST_ZOOM, zoom * factor));
      left = x - (x - left) * to / zoom;
      top = y - (y - top) * to / zoom;
      zoom = to;
      draw();
    };
    const fingers = new Map();
    const spot = (event) => {
      const place = canvas.getBoundingClientRect();
      return [event.clientX - place.left, event.clientY - place.top];
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      scale(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * lines)) * 0.0022), ...spot(event));
      look(...spot(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, spot(event));
      canvas.classList.add("moving");
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = spot(event), before = fingers.get(event.pointerId);
      if (!before) { look(...now); return; }
      if (fingers.size === 1) {
        left += now[0] - before[0];
        top += now[1] - before[1];
      } else {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const apart = (a, b) => Math.max(8, Math.hypot(a[0] - b[0], a[1] - b[1]));
        const middle = [(before[0] + other[0]) / 2, (before[1] + other[1]) / 2];
        left += (now[0] - before[0]) / 2;
        top += (now[1] - before[1]) / 2;
        scale(apart(now, other) / apart(before, other), ...middle);
      }
      fingers.set(event.pointerId, now);
      about.style.display = "none";
      draw();
    });
    const lift = (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) canvas.classList.remove("moving");
      if (event.type === "pointerup") look(...spot(event));
    };
    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);
    canvas.addEventListener("pointerleave", forget);
    canvas.addEventListener("dblclick", fit);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (step) { left += step[0]; top += step[1]; draw(); }
      else if (event.key === "+" || event.key === "-") scale(event.key === "+" ? 1.3 : 1 / 1.3, wide / 2, high / 2);
      else if (event.key === "0") fit();
      else return;
      event.preventDefault();
    });

    // Buttons: classes, the whole map, images in place of points.
    for (const toggle of box.querySelectorAll("button[data-kind]")) {
      toggle.addEventListener("click", (event) => {
        const kind = Number(toggle.dataset.kind), all = [...data.classes.keys()];
        if (event.shiftKey) {  // this class alone, or all again
          const alone = all.every((k) => hidden.has(k) === (k !== kind));
          hidden.clear();
          if (!alone) for (const k of all) if (k !== kind) hidden.add(k);
        } else if (!hidden.delete(kind)) hidden.add(kind);
        for (const other of box.querySelectorAll("button[data-kind]")) {
          other.setAttribute("aria-pressed", String(!hidden.has(Number(other.dataset.kind))));
        }
        forget();
      });
    }
    box.querySelector("button[data-fit]").addEventListener("click", fit);
    const swap = box.querySelector("button[data-pictures]");
    if (swap) swap.addEventListener("click", () => {
      pictures = !pictures;
      swap.setAttribute("aria-pressed", String(pictures));
      forget();
    });

    new ResizeObserver(() => {
      const first = !wide, ratio = devicePixelRatio || 1, before = [wide, high];
      [wide, high] = [canvas.clientWidth, canvas.clientHeight];
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
      if (first) { fit(); return; }
      left += (wide - before[0]) / 2;
      top += (high - before[1]) / 2;
      draw();
    }).observe(canvas);
    new MutationObserver(draw).observe(root, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    if (sprite && !sprite.complete) sprite.addEventListener("load", draw);
  };
  for (const box of document.querySelectorAll("[data-map]")) wire(box);
})();
