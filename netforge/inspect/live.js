"use strict";
(() => {
  const OFTEN_MS = 1000, SELDOM_MS = 5000; // between two questions, while the page is seen and while it is not
  const main = document.querySelector("main");
  const offline = document.getElementById("offline");
  const begun = JSON.parse(document.getElementById("live").textContent);
  const cards = new Map();
  [...main.querySelectorAll(":scope > section.card")].forEach((card, number) => cards.set(begun.keys[number], card));
  let version = begun.version;
  let waiting = {}; // markup of cards in which text is selected right now
  let keys = begun.keys;
  let timer = null;
  let pointer = null;
  document.addEventListener("pointermove", (event) => { if (event.isTrusted) pointer = event; }, { passive: true });

  // What a reader has set on a card goes over to the one that takes its place.
  const pairs = (old, fresh, selector) => {
    const news = [...fresh.querySelectorAll(selector)];
    return [...old.querySelectorAll(selector)].map((one, number) => [one, news[number]]).filter(([, one]) => one);
  };
  const named = (button) => button.textContent;
  const carryChart = (old, fresh) => {
    const hidden = new Set([...old.querySelectorAll('button[data-series][aria-pressed="false"]')].map(named));
    for (const button of fresh.querySelectorAll("button[data-series]")) {
      if (hidden.has(named(button))) button.setAttribute("aria-pressed", "false");
    }
    const scale = fresh.querySelector("button[data-scale]");
    if (!scale || old.dataset.chosen === undefined) return;
    fresh.dataset.chosen = fresh.dataset.shown = old.dataset.chosen;
    scale.setAttribute("aria-pressed", String(old.dataset.chosen === "log"));
  };
  const carry = (old, fresh) => {
    for (const [one, other] of pairs(old, fresh, "[data-chart]")) carryChart(one, other);
    for (const [one, other] of pairs(old, fresh, "details")) other.open = one.open;
    fresh.style.gridRowEnd = old.style.gridRowEnd; // until it is measured: the page must not shrink in between
  };
  const settle = (old, fresh) => { // what can be set only where the card stands in the page
    for (const [one, other] of old.places) { other.scrollLeft = one.left; other.scrollTop = one.top; }
    if (old.focus >= 0) fresh.querySelectorAll(FOCUSABLE)[old.focus]?.focus({ preventScroll: true });
  };
  const FOCUSABLE = "a, button, summary, pre";
  const state = (old, fresh) => ({
    places: pairs(old, fresh, "pre, .scroll").map(([one, other]) => [{ left: one.scrollLeft, top: one.scrollTop }, other]),
    focus: [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement),
  });
  const selected = (card) => {
    const selection = getSelection();
    return !selection.isCollapsed && (card.contains(selection.anchorNode) || card.contains(selection.focusNode));
  };

  const make = (markup) => {
    const template = document.createElement("template");
    template.innerHTML = markup;
    return template.content.firstElementChild;
  };
  const replace = (key, markup) => {
    const old = cards.get(key), fresh = make(markup);
    cards.set(key, fresh);
    if (!old) {
      main.append(fresh);
    } else {
      const kept = state(old, fresh), under = old.matches(":hover");
      carry(old, fresh);
      old.replaceWith(fresh);
      settle(kept, fresh);
      if (under && pointer) redo(pointer);
    }
    for (const chart of fresh.querySelectorAll("[data-chart]")) netforge.wire(chart);
  };
  const redo = (event) => queueMicrotask(() => { // the read-out at the pointer stays
    const { clientX, clientY } = event;
    const at = document.elementFromPoint(clientX, clientY);
    if (at) at.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
  });

  const show = (answer) => {
    keys = answer.keys;
    version = answer.version;
    document.title = answer.title;
    document.querySelector("header h1").textContent = answer.heading;
    document.querySelector("header .subtitle").textContent = answer.subtitle;
    for (const [key, card] of cards) {
      if (keys.includes(key)) continue;
      card.remove();
      cards.delete(key);
    }
    const fresh = { ...waiting, ...answer.cards };
    waiting = {};
    for (const key of keys) {
      if (!(key in fresh)) continue;
      if (cards.has(key) && selected(cards.get(key))) waiting[key] = fresh[key];
      else replace(key, fresh[key]);
    }
    let place = offline;
    for (const key of keys) {
      const card = cards.get(key);
      if (place.nextElementSibling !== card) place.after(card);
      place = card;
    }
  };

  const ask = async () => {
    clearTimeout(timer);
    try {
      const answer = await fetch(`/changes?since=${version}`, { cache: "no-store", signal: AbortSignal.timeout(20000) });
      if (!answer.ok) throw new Error(answer.statusText);
      const news = await answer.json();
      if (news.server !== begun.server) return location.reload(); // another monitor, maybe of another version
      if (news.version >= version) show(news); // answers may overtake one another
      offline.hidden = true;
    } catch {
      offline.hidden = false;
    }
    clearTimeout(timer);
    timer = setTimeout(ask, document.hidden ? SELDOM_MS : OFTEN_MS);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  ask();
})();
