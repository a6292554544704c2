// The page reads without this; with it, a run that is under way grows as it
// happens. Events come over SSE, each once and in order: the browser says
// which it has seen last, and one that comes again is passed over.
"use strict";

const list = document.getElementById("timeline");
if (list && "live" in list.dataset) follow(list);

function follow(list) {
  const started = Date.parse(list.dataset.started);
  const live = document.getElementById("live");
  const steps = new Map();
  let last = Number(list.dataset.seq);
  let now = Date.parse(list.dataset.now) || started;
  let count = 0;

  const key = (parent, name) => (parent || "") + "\u0000" + name;
  for (const li of list.children) {
    steps.set(key(li.dataset.parent, li.dataset.step), {
      li, from: Date.parse(li.dataset.from) || 0, to: Date.parse(li.dataset.to) || 0, attempts: li.dataset.from ? 1 : 0,
    });
  }

  const source = new EventSource(`/runs/${encodeURIComponent(list.dataset.run)}/events?after=${last}`);
  source.onmessage = (m) => {
    const seq = Number(m.lastEventId);
    if (seq <= last) return;
    last = seq;
    count++;
    list.dataset.seq = String(last);
    take(JSON.parse(m.data));
  };
  source.onopen = () => { live.textContent = "Live: what happens shows here."; };
  source.onerror = () => { live.textContent = "The connection is lost; trying again."; };
  source.addEventListener("end", () => { source.close(); live.textContent = "The run is over."; draw(); });

  // What runs grows between events too.
  let frame = 0;
  const timer = setInterval(() => { if (source.readyState !== EventSource.CLOSED) draw(); else clearInterval(timer); }, 250);

  function take(e) {
    const at = Date.parse(e.at);
    if (at) now = Math.max(now, at);
    switch (e.event) {
      case "steps.planned": for (const p of e.steps || []) step("", p.name, p.type); break;
      case "node.started": {
        const s = step(e.parent, e.address, e.type);
        if (!s.from) s.from = at;
        s.to = 0;
        s.attempts++;
        s.li.querySelector(".attempts").textContent = s.attempts > 1 ? s.attempts + " attempts" : "";
        status(s, "running");
        break;
      }
      case "node.progress": say(step(e.parent, e.address), e.message); break;
      case "node.log": {
        const log = step(e.parent, e.address).li.querySelector(".log");
        const stay = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
        log.append(e.line + "\n");
        if (stay) log.scrollTop = log.scrollHeight;
        break;
      }
      case "node.finished": {
        const s = step(e.parent, e.address);
        s.to = at;
        if (!s.from && e.outcome !== "skipped") s.from = at;
        status(s, e.outcome);
        say(s, e.error || e.reason || "");
        answered(s);
        break;
      }
      case "approval.requested": {
        const s = step("", e.address);
        status(s, "waiting");
        say(s, e.message);
        ask(s, e);
        break;
      }
      case "approval.given": {
        const s = step("", e.address);
        status(s, "running");
        say(s, (e.approved ? "approved by " : "refused by ") + e.by);
        answered(s);
        break;
      }
      case "run.finished": {
        now = at;
        const state = e.failed > 0 || e.error ? "failed" : "done";
        const cell = document.getElementById("run-status");
        cell.replaceChildren(tag("span", "status " + state, state));
        document.getElementById("run-took").textContent = length(now - started);
        break;
      }
    }
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function step(parent, name, type) {
    const k = key(parent, name);
    let s = steps.get(k);
    if (s) return s;
    const li = tag("li", parent ? "step part" : "step");
    li.dataset.step = name;
    li.dataset.parent = parent || "";
    const details = tag("details");
    const summary = tag("summary");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "bar");
    svg.setAttribute("viewBox", "0 0 1000 10");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [n, v] of [["x", 0], ["y", 0], ["width", 0], ["height", 10], ["rx", 2]]) rect.setAttribute(n, v);
    svg.append(rect);
    summary.append(tag("span", "label", name), " ", tag("span", "type", type || ""), " ", tag("span", "status pending", "pending"), svg, tag("span", "took"), tag("span", "attempts"));
    const log = tag("pre", "log");
    log.tabIndex = 0;
    log.setAttribute("aria-label", "Output of " + name);
    details.append(summary, tag("p", "message"), log);
    li.append(details);
    place(li, parent);
    s = { li, from: 0, to: 0, attempts: 0 };
    steps.set(k, s);
    return s;
  }

  // A part of a step stands behind the step and its other parts.
  function place(li, parent) {
    let behind = null;
    if (parent) {
      for (const other of list.children) {
        if (other.dataset.parent === parent || (!other.dataset.parent && other.dataset.step === parent)) behind = other;
      }
    }
    if (behind) behind.after(li); else list.append(li);
  }

  function status(s, name) {
    const el = s.li.querySelector(".status");
    el.className = "status " + name;
    el.textContent = name;
    s.li.querySelector("rect").setAttribute("class", name);
    s.status = name;
  }

  function say(s, text) { s.li.querySelector(".message").textContent = text || ""; }

  function ask(s, e) {
    answered(s);
    const form = tag("form", "approval");
    form.method = "post";
    form.action = `/runs/${encodeURIComponent(list.dataset.run)}/approve`;
    form.append(hidden("token", list.dataset.token), hidden("step", e.address), tag("p", "", e.message));
    const label = tag("label", "", "Comment ");
    const comment = tag("input");
    comment.name = "comment";
    comment.autocomplete = "off";
    label.append(comment);
    form.append(label, " ", button("approve", "Approve"), " ", button("refuse", "Refuse"));
    s.li.append(form);
  }

  function answered(s) { s.li.querySelector("form")?.remove(); }

  function draw() {
    frame = 0;
    let running = false;
    for (const s of steps.values()) running = running || (s.from && !s.to);
    const end = running && source.readyState !== EventSource.CLOSED ? Math.max(now, Date.now()) : now;
    const total = Math.max(end - started, 1);
    for (const s of steps.values()) {
      if (!s.from) continue;
      const x = Math.min(1000 * (s.from - started) / total, 997);
      const width = Math.min(Math.max(1000 * ((s.to || end) - s.from) / total, 3), 1000 - x);
      const rect = s.li.querySelector("rect");
      rect.setAttribute("x", Math.max(x, 0).toFixed(1));
      rect.setAttribute("width", width.toFixed(1));
      s.li.querySelector(".took").textContent = length((s.to || end) - s.from);
    }
  }

  function length(ms) {
    if (ms < 1000) return Math.max(0, Math.round(ms)) + "ms";
    if (ms < 60000) return (ms / 1000).toFixed(1) + "s";
    return Math.floor(ms / 60000) + "m" + Math.round((ms % 60000) / 1000) + "s";
  }
}

function tag(name, cls, text) {
  const el = document.createElement(name);
  if (cls) el.className = cls;
  if (text) el.textContent = text;
  return el;
}

function hidden(name, value) {
  const el = tag("input");
  el.type = "hidden";
  el.name = name;
  el.value = value;
  return el;
}

function button(value, text) {
  const el = tag("button", "", text);
  el.name = "answer";
  el.value = value;
  return el;
}
