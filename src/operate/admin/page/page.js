// The dashboard: asks /api/v1/status each second while somebody looks, and shows it.
//
// Names and numbers go into text nodes and attributes only, never into markup. The token is a variable of this page.
"use strict";
(() => {
  const SAMPLES = 180, EVERY_MS = 1000, PATIENCE_MS = 8000, GAP = 10;
  const $ = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  let token = "", last = null, lastAt = 0, failures = 0, timer = 0, turn = 0, steps = 1;
  const history = new Map(), tiles = new Map(), pools = new Map();

  const make = (tag, className, text) => {
    const it = document.createElement(tag);
    if (className) it.className = className;
    if (text !== undefined) it.textContent = text;
    return it;
  };
  const say = (it, text) => { if (it.textContent !== text) it.textContent = text; };
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const count = (n) => (n < 10000 ? String(Math.round(n)) : compact.format(n));
  const megabytes = (n) => { const m = n / 1048576; return m < 10 ? m.toFixed(1) : String(Math.round(m)); };
  const rate = (n) => (n < 10 && n > 0 && n % 1 ? n.toFixed(1) : count(n));
  const span = (ms) => {
    const s = Math.floor(ms / 1000);
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min";
    if (s < 86400) return Math.floor(s / 3600) + " h " + (Math.floor(s / 60) % 60) + " min";
    return Math.floor(s / 86400) + " d " + (Math.floor(s / 3600) % 24) + " h";
  };

  // A line of a value in each of the last seconds. What is told after some of them is of all of them; where it is told after
  // many, as the page was hidden or nobody answered, there is a gap.
  const spark = () => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 180 30");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const area = svg.appendChild(document.createElementNS(SVG, "path"));
    area.setAttribute("class", "area");
    const line = svg.appendChild(document.createElementNS(SVG, "path"));
    return { svg, area, line };
  };
  const remember = (key, value) => {
    const kept = history.get(key) || [];
    for (let more = steps; more > 1; more -= 1) kept.push(steps > GAP ? null : value);
    kept.push(value);
    kept.splice(0, kept.length - SAMPLES);
    history.set(key, kept);
    return kept;
  };
  const draw = (graph, key, value) => {
    const kept = remember(key, value);
    const most = Math.max(1, ...kept);
    const known = (i) => typeof kept[i] === "number";
    let line = "", area = "";
    kept.forEach((v, i) => {
      if (!known(i)) return;
      const x = SAMPLES - kept.length + i, point = x + " " + (29 - (v / most) * 27).toFixed(1);
      line += (known(i - 1) ? "L" : "M") + point;
      area += (known(i - 1) ? "L" : "M" + x + " 30L") + point + (known(i + 1) ? "" : "L" + x + " 30Z");
    });
    graph.line.setAttribute("d", line);
    graph.area.setAttribute("d", area);
  };
  const meter = (bar, now, most, good) => {
    const share = most > 0 ? Math.min(1, now / most) : 0;
    bar.firstChild.style.width = (share * 100).toFixed(1) + "%";
    bar.classList.toggle("good", good === true);
    bar.classList.toggle("full", good !== true && share >= 0.95);
  };

  const tile = (key, what, figure, unit, graph) => {
    let it = tiles.get(key);
    if (!it) {
      const box = make("li", "tile");
      box.dataset.tile = key;
      box.append(make("span", "what", what));
      const figureBox = box.appendChild(make("span", "figure"));
      it = { text: figureBox.appendChild(document.createTextNode("")), unit: figureBox.appendChild(make("small")) };
      const place = box.appendChild(make("div", "graph"));
      if (graph.most === undefined) {
        it.spark = spark();
        place.append(it.spark.svg);
      } else {
        it.meter = place.appendChild(make("div", "meter"));
        it.meter.append(make("i"));
      }
      tiles.set(key, it);
      $("tiles").append(box);
    }
    if (it.text.data !== figure) it.text.data = figure;
    say(it.unit, " " + unit);
    if (it.spark) draw(it.spark, "tile " + key, graph.now);
    else meter(it.meter, graph.now, graph.most, graph.good);
  };

  const HEADS = [["Server"], ["State"], ["Requests/s", "num"], ["In flight", "num"], ["Waiting", "num"], ["Response", "num"],
    ["Errors", "num"], ["Stayed", "num"], ["Weight", "num"], ["Change", "act"]];

  const poolBox = (pool) => {
    const box = make("section", "pool");
    box.dataset.pool = pool.name;
    const top = box.appendChild(make("div", "top"));
    const title = top.appendChild(make("h2", "", pool.name));
    title.id = "pool-" + pool.name;
    box.setAttribute("aria-labelledby", title.id);
    const pill = top.appendChild(make("span", "pill"));
    const facts = top.appendChild(make("span", "quiet"));
    const table = box.appendChild(make("table"));
    table.append(make("caption", "", "Servers of the pool " + pool.name));
    const head = table.appendChild(make("thead")).appendChild(make("tr"));
    for (const [text, className] of HEADS) {
      const cell = head.appendChild(make("th", className, text));
      cell.scope = "col";
    }
    const body = table.appendChild(make("tbody"));
    $("pools").append(box);
    return { box, pill, facts, body, servers: new Map() };
  };

  const serverRow = (pool, server, body) => {
    const row = body.appendChild(make("tr"));
    row.dataset.server = server.name;
    const name = row.appendChild(make("th", "", server.name));
    name.scope = "row";
    if (server.backup) name.append(make("span", "tag", "backup"));
    const cell = (what, className) => {
      const it = row.appendChild(make("td", className));
      it.dataset.what = what;
      return it;
    };
    const it = { row, backup: server.backup };
    it.state = row.appendChild(make("td")).appendChild(make("span", "pill"));
    const rateCell = cell("Requests/s", "num");
    it.rate = rateCell.appendChild(document.createTextNode(""));
    it.spark = spark();
    rateCell.append(it.spark.svg);
    const flight = cell("In flight", "num");
    it.flight = flight.appendChild(document.createTextNode(""));
    it.meter = flight.appendChild(make("div", "meter"));
    it.meter.append(make("i"));
    for (const [key, what] of [["queue", "Waiting"], ["response", "Response"], ["errors", "Errors"], ["stayed", "Stayed"], ["weight", "Weight"]])
      it[key] = cell(what, "num");
    const act = row.appendChild(make("td", "act"));
    it.buttons = {};
    for (const [state, label] of [["ready", "Ready"], ["drain", "Drain"], ["maint", "Maint"]]) {
      const button = act.appendChild(make("button", "", label));
      button.type = "button";
      button.setAttribute("aria-label", label + " " + pool.name + "/" + server.name);
      button.addEventListener("click", () => change(pool.name, server.name, "state/" + state));
      it.buttons[state] = button;
    }
    it.input = it.weight.appendChild(make("input"));
    it.weight = it.weight.appendChild(make("span"));
    // No number field: a wheel that turns over one while it has the focus changes it.
    Object.assign(it.input, { inputMode: "numeric", autocomplete: "off" });
    it.input.setAttribute("aria-label", "Weight of " + pool.name + "/" + server.name);
    it.input.addEventListener("change", () => {
      const wanted = it.input.value.trim();
      if (/^\d{1,3}$/.test(wanted) && wanted <= 256) { change(pool.name, server.name, "weight/" + Number(wanted)); return; }
      it.input.value = it.weight.textContent;
      note("A weight is a whole number from 0 to 256.");
    });
    return it;
  };

  const STATES = { up: "Up", down: "Down", drain: "Drain", maint: "Maint" };
  const wrong = (it) => it.s5 + it.connect + it.response;

  const showServer = (pool, server, before, seconds, row) => {
    const grown = (key) => (before && seconds ? Math.max(0, server[key] - before[key]) / seconds : 0);
    row.state.className = "pill " + server.state;
    say(row.state, STATES[server.state] + (server.throttle !== undefined && server.throttle < 100 ? " " + server.throttle + " %" : ""));
    row.state.title = "Last probe: " + server.check + (server.checkStatus ? " " + server.checkStatus : "") + "; so for " + span(server.sinceMs);
    const perSecond = grown("total");
    row.rate.data = rate(Math.round(perSecond * 10) / 10);
    draw(row.spark, pool.name + "/" + server.name, perSecond);
    row.flight.data = server.maxconn ? server.now + " / " + server.maxconn : String(server.now);
    row.meter.hidden = !server.maxconn;
    meter(row.meter, server.now, server.maxconn);
    say(row.queue, count(server.queue));
    say(row.response, server.total ? server.responseMs + " ms" : "–");
    say(row.errors, count(wrong(server)));
    row.errors.classList.toggle("bad", before !== undefined && wrong(server) > wrong(before));
    const led = server.hits + server.moved;
    say(row.stayed, pool.keepsUsers && led ? Math.round((server.hits / led) * 100) + " %" : "–");
    say(row.weight, String(server.weight));
    row.buttons.ready.disabled = server.state === "up" || server.state === "down";
    row.buttons.drain.disabled = server.state === "drain";
    row.buttons.maint.disabled = server.state === "maint";
    if (document.activeElement !== row.input) row.input.value = server.weight;
  };

  const show = (now) => {
    const seconds = last ? (now.uptimeMs - last.uptimeMs) / 1000 : 0;
    steps = Math.min(SAMPLES, Math.round(seconds));
    const sum = (all, key) => all.reduce((n, it) => n + it[key], 0);
    const grown = (of, key) => (last && seconds > 0 ? Math.max(0, sum(of(now), key) - sum(of(last), key)) / seconds : 0);
    const listeners = (it) => it.listeners, all = (it) => it.pools;
    document.title = "beelance " + now.host;
    say($("host"), now.host);
    const empty = now.pools.filter((pool) => !pool.active && !pool.backups);
    const health = now.stopping ? ["drain", "stopping"] : empty.length ? ["down", empty.map((pool) => pool.name).join(", ") + ": no server"] : ["up", "serving"];
    $("health").className = "pill " + health[0];
    say($("health"), health[1]);
    say($("about"), "version " + now.version + ", up " + span(now.uptimeMs));

    const servers = now.pools.flatMap((pool) => pool.servers);
    const flight = sum(servers, "now"), queue = sum(now.pools, "queue") + sum(servers, "queue");
    const requests = grown((it) => it.listeners, "requests");
    const busy = servers.filter((server) => server.total);
    const answered = sum(busy, "total");
    const mean = answered ? busy.reduce((n, it) => n + it.responseMs * it.total, 0) / answered : 0;
    const errors = grown(listeners, "s5"), share = requests ? Math.min(100, (errors / requests) * 100) : 0;
    tile("requests", "Requests", rate(Math.round(requests * 10) / 10), "per second", { now: requests });
    tile("flight", "In flight", count(flight), "at the servers", { now: flight });
    tile("queue", "Waiting", count(queue), "for a slot", { now: queue });
    tile("response", "Response", mean.toFixed(mean < 10 ? 1 : 0), "ms on average", { now: mean });
    tile("errors", "Errors", share.toFixed(share && share < 10 ? 1 : 0) + " %", count(sum(now.listeners, "s5")) + " in all", { now: errors });
    tile("lag", "Loop lag", (now.lagUs / 1000).toFixed(1), "ms, " + now.lagMs + " at most", { now: now.lagUs / 1000 });
    tile("connections", "Connections", count(now.connections), "of " + count(now.maxConnections), { now: now.connections, most: now.maxConnections });
    if (now.memory !== undefined)
      tile("memory", "Memory", megabytes(now.memory), "of " + megabytes(now.memoryLimit) + " MB", { now: now.memory, most: now.memoryLimit });
    const hits = sum(all(now), "hits"), led = hits + sum(all(now), "moved");
    if (now.pools.some((pool) => pool.keepsUsers))
      tile("affinity", "Users stayed", led ? ((hits / led) * 100).toFixed(1) + " %" : "–", count(sum(all(now), "newcomers")) + " new", { now: hits, most: led, good: true });

    for (const [name, box] of pools)
      if (!now.pools.some((pool) => pool.name === name)) {
        box.box.remove();
        pools.delete(name);
        for (const server of box.servers.keys()) history.delete(name + "/" + server);
      }
    // As the file has them, also where a reload brought some into the midst of others.
    const place = (all, at, it) => { if (all.children[at] !== it) all.insertBefore(it, all.children[at] || null); };
    for (const [at, pool] of now.pools.entries()) {
      if (!pools.has(pool.name)) pools.set(pool.name, poolBox(pool));
      const box = pools.get(pool.name), before = last && last.pools.find((it) => it.name === pool.name);
      place($("pools"), at, box.box);
      const usable = pool.active + pool.backups;
      box.pill.className = "pill " + (usable ? "up" : "down");
      say(box.pill, pool.active + " of " + pool.servers.length + " take users");
      say(box.facts, [pool.queue && pool.queue + " wait for any", pool.sessions && count(pool.sessions) + " users known",
        pool.retries && count(pool.retries) + " retries", pool.redispatches && count(pool.redispatches) + " redispatched",
        count(pool.total) + " requests"].filter(Boolean).join(" · "));
      for (const [name, row] of box.servers)
        if (!pool.servers.some((it) => it.name === name && it.backup === row.backup)) {
          row.row.remove();
          box.servers.delete(name);
          history.delete(pool.name + "/" + name);
        }
      for (const [nth, server] of pool.servers.entries()) {
        if (!box.servers.has(server.name)) box.servers.set(server.name, serverRow(pool, server, box.body));
        const row = box.servers.get(server.name);
        place(box.body, nth, row.row);
        showServer(pool, server, before ? before.servers.find((it) => it.name === server.name) : undefined, seconds, row);
      }
    }
    last = now;
  };

  const ask = async (path, options = {}, by = token) => {
    const headers = by ? { Authorization: "Bearer " + by } : {};
    const signal = AbortSignal.timeout(PATIENCE_MS);
    return fetch(path, { ...options, headers, signal, cache: "no-store", credentials: "omit" });
  };

  const refresh = async () => {
    clearTimeout(timer);
    // An answer that another was asked for after is old, whenever it comes.
    const mine = turn += 1;
    if (document.hidden) return;
    try {
      const answer = await ask("/api/v1/status");
      if (mine !== turn) return;
      if (answer.status === 401) { lock("The token is no longer right."); return; }
      if (!answer.ok) throw new Error((await answer.text()).trim());
      const now = await answer.json();
      if (mine !== turn) return;
      if (last && now.uptimeMs < last.uptimeMs) { last = null; history.clear(); }
      show(now);
      lastAt = Date.now();
      failures = 0;
      $("lost").hidden = true;
    } catch (error) {
      if (mine !== turn) return;
      failures += 1;
      if (failures > 1 || error.name === "TimeoutError") {
        $("lost").hidden = false;
        // Always the same words: a screen reader says them each time they change.
        say($("lost"), (error.name === "Error" ? error.message : "No answer")
          + (lastAt ? ": what is shown is of " + new Date(lastAt).toLocaleTimeString() : "") + ".");
        $("health").className = "pill down";
        say($("health"), "no answer");
      }
    }
    clearTimeout(timer);
    timer = setTimeout(refresh, EVERY_MS);
  };

  let noteTimer = 0;
  const note = (text) => {
    $("note").textContent = text;
    clearTimeout(noteTimer);
    noteTimer = setTimeout(() => { $("note").textContent = ""; }, 5000);
  };

  const change = async (pool, server, what) => {
    try {
      const answer = await ask("/api/v1/servers/" + pool + "/" + server + "/" + what, { method: "POST" });
      const text = (await answer.text()).trim();
      note(pool + "/" + server + ": " + (answer.ok ? what.replace("/", " ") : text));
      if (answer.status === 401) lock("");
    } catch (error) {
      note(pool + "/" + server + ": no answer");
    }
    refresh();
  };

  // What would become of a request, or a connection, which has no head: the end in a sentence, and the steps that lead there.
  const tellWhy = (text, steps, isBad) => {
    $("why-end").className = isBad ? "bad" : "";
    $("why-end").textContent = text;
    $("why-steps").replaceChildren(...steps.map(({ step, says }) => {
      const it = make("li");
      it.append(make("b", "", step), " " + says);
      return it;
    }));
  };
  $("why-method").addEventListener("input", () => {
    const raw = /^connection$/i.test($("why-method").value);
    if (raw) $("why-method").value = "connection";
    for (const name of ["host", "path", "cookie"]) $("why-" + name).disabled = raw;
  });
  $("why").addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = [...new FormData($("why"))].filter(([, value]) => value);
    try {
      const answer = await ask("/api/v1/explain?" + new URLSearchParams(wanted));
      if (!answer.ok) { tellWhy((await answer.text()).trim(), [], true); return; }
      const { result, status, pool, server, steps } = await answer.json();
      const ends = { server: "It goes to " + pool + "/" + server + ".", reply: "It is answered " + status + ".", closed: "It is closed.",
        accepted: "It is let in; what it asks for is placed request by request.",
        wait: "It waits for " + (server ? pool + "/" + server : "any server of " + pool) + "." };
      tellWhy(ends[result], steps, false);
    } catch (error) {
      tellWhy("No answer.", [], true);
    }
  });

  const lock = (why) => {
    token = "";
    document.body.classList.remove("operator");
    $("unlock").textContent = "Operator";
    if (why) note(why);
    refresh();
  };
  $("unlock").addEventListener("click", () => {
    if (token) { lock("Locked: the token is forgotten."); return; }
    $("ask-error").textContent = "";
    $("token").value = "";
    $("ask").showModal();
  });
  $("ask-cancel").addEventListener("click", () => $("ask").close());
  $("ask-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = $("token").value.trim();
    let why = "No answer.";
    try {
      // What no header can carry is no token: to ask would fail as if nobody answered.
      const answer = /^[!-~]+$/.test(given) ? await ask("/api/v1/status", {}, given) : new Response("", { status: 401 });
      if (answer.ok && (await answer.json()).level !== "user") {
        token = given;
        $("token").value = "";
        $("ask").close();
        document.body.classList.add("operator");
        $("unlock").textContent = "Lock";
        note("Unlocked: this page may change servers.");
        refresh();
        return;
      }
      why = (await answer.text().catch(() => "")) || "The token is wrong.";
    } catch (error) { /* it is said below */ }
    $("ask-error").textContent = why.trim();
  });
  document.addEventListener("visibilitychange", refresh);
  refresh();
})();
