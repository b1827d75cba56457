// What the page does beyond what HTML does by itself: a stage opens beside the graph, tables sort, charts tell their values.
"use strict";
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const details = (stage) => document.querySelector(`details.stage[data-stage="${stage}"]`);

  // On paper nothing can be opened: all is open there.
  let printing = false;
  let closed = [];
  addEventListener("beforeprint", () => {
    printing = true;
    closed = all(".stages > details.stage:not([open]), details.plain:not([open])");
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => {
    closed.forEach((one) => { one.open = false; });
    setTimeout(() => { printing = false; });
  });

  // Stages: one is open, and the graph shows which.
  const mark = (stage) => {
    for (const node of all(".node")) {
      const selected = node.dataset.stage === stage;
      node.classList.toggle("selected", selected);
      if (selected) node.setAttribute("aria-current", "true");
      else node.removeAttribute("aria-current");
    }
    for (const edge of all(".edge")) {
      edge.classList.toggle("on", edge.dataset.from === stage || edge.dataset.to === stage);
    }
  };
  const open = (stage, focus) => {
    const chosen = details(stage);
    if (!chosen) return false;
    for (const other of all("details.stage[open]")) if (other !== chosen) other.open = false;
    for (let up = chosen; up; up = up.parentElement.closest("details")) up.open = true;
    mark(stage);
    const summary = chosen.querySelector("summary");
    const place = summary.getBoundingClientRect();
    if (place.top < 60 || place.top > innerHeight * 0.6) chosen.scrollIntoView({ block: "start" });
    if (focus) summary.focus({ preventScroll: true });
    return true;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-stage]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    if (open(link.dataset.stage, true)) {
      event.preventDefault();
      history.replaceState(null, "", `#stage-${link.dataset.stage}`);
    }
  });
  document.addEventListener("toggle", (event) => {
    const stage = event.target;
    if (printing || !stage.matches || !stage.matches("details.stage")) return;
    if (stage.open) {
      for (const other of all("details.stage[open]")) if (other !== stage) other.open = false;
      mark(stage.dataset.stage);
    } else if (!document.querySelector("details.stage[open]")) mark("");
  }, true);
  const named = /^#stage-(\d+)$/.exec(location.hash);
  if (named) open(named[1], false);

  // Tables sort by a click on the head of a column.
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent.trim();
  };
  const asNumber = (text) => (text === "" ? NaN : Number(text.replace(/[,%\s]/g, "")));
  const compare = (one, other) => {
    const [a, b] = [asNumber(one), asNumber(other)];
    if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
    if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
    return one.localeCompare(other);
  };
  for (const table of all("table.sortable")) {
    const heads = all("thead th, thead td", table);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "descending"
          || (!head.hasAttribute("aria-sort") && !head.classList.contains("number"));
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        const rows = [...body.rows];
        rows.sort((one, other) => {
          const [a, b] = [value(one, column), value(other, column)];
          if (a === "" || b === "") return (a === "") - (b === "");
          return up ? compare(a, b) : compare(b, a);
        });
        body.append(...rows);
      });
    });
  }

  // Charts tell the values under the pointer.
  for (const chart of all("figure.chart")) {
    const svg = chart.querySelector("svg[data-left]");
    const readout = chart.querySelector(".readout");
    if (!svg || !readout) continue;
    const lines = all("polyline[data-values]", svg).map((line) => ({
      name: line.dataset.name,
      places: line.getAttribute("points").split(" ").map((point) => parseFloat(point)),
      values: line.dataset.values.split(" ").map((point) => point.split(",")),
    }));
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.classList.add("cursor");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const nearest = (line) => line.places.reduce(
        (best, place, at) => (Math.abs(place - x) < Math.abs(line.places[best] - x) ? at : best), 0);
      const told = lines.map((line) => [line, nearest(line)]);
      const [first, at] = told.reduce((best, next) =>
        (Math.abs(next[0].places[next[1]] - x) < Math.abs(best[0].places[best[1]] - x) ? next : best));
      const place = first.places[at];
      for (const [name, to] of [["x1", place], ["x2", place], ["y1", 12], ["y2", svg.viewBox.baseVal.height - 34]]) {
        cursor.setAttribute(name, to);
      }
      svg.append(cursor);
      const across = svg.querySelector(".unit").textContent.replace(" →", "");
      readout.textContent = `${across} ${first.values[at][0]}: `
        + told.map(([line, near]) => `${line.name} ${line.values[near][1]}`).join(", ");
    });
    svg.addEventListener("pointerleave", () => { cursor.remove(); readout.textContent = ""; });
  }

  // A page that is served looks now and then whether there is another one.
  if (document.body.hasAttribute("data-served")) {
    let known = null;
    const look = async () => {
      try {
        const answer = await fetch("/version", { cache: "no-store" });
        const version = answer.ok ? await answer.text() : known;
        if (known !== null && version !== known) location.reload();
        known = version;
      } catch { /* The watch has ended, or begins again. */ }
    };
    look();
    setInterval(look, 1000);
  }
})();
