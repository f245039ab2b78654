"use strict";
(() => {
  // A click on a cell of the table shows its images, drawn from the one picture that holds all thumbnails.
  const box = document.querySelector("[data-confusion]");
  const data = JSON.parse(box.querySelector("script").textContent);
  const sprite = box.querySelector(".sprite"), shown = document.getElementById("cell-images");
  const heading = document.getElementById("cell-name");
  const { columns, width, height } = data.sprite, size = Math.max(72, Math.max(width, height));
  let chosen = null;
  const show = (rect) => {
    const cell = data.cells[rect.dataset.cell];
    if (!cell) return;
    if (chosen) chosen.classList.remove("chosen");
    chosen = rect;
    rect.classList.add("chosen");
    heading.textContent = cell.name + (cell.count > cell.items.length ? `, the first ${cell.items.length} of ${cell.count}` : "");
    shown.textContent = "";
    for (const [place, text] of cell.items) {
      const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
      canvas.width = Math.round(width * size / Math.max(width, height));
      canvas.height = Math.round(height * size / Math.max(width, height));
      pen.imageSmoothingEnabled = false;
      pen.drawImage(sprite, place % columns * width, Math.floor(place / columns) * height, width, height,
        0, 0, canvas.width, canvas.height);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", text);
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      caption.textContent = text;
      figure.append(canvas, caption);
      shown.append(figure);
    }
  };
  for (const rect of box.querySelectorAll("rect[data-cell]")) {
    rect.setAttribute("tabindex", "0");
    rect.setAttribute("role", "button");
    rect.setAttribute("aria-label", rect.dataset.tip);
    rect.addEventListener("click", () => show(rect));
    rect.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(rect); }
    });
  }
  const first = box.querySelector(`rect[data-cell="${data.first}"]`);
  const start = () => { if (first) show(first); };
  if (sprite.complete) start(); else sprite.addEventListener("load", start);
})();
