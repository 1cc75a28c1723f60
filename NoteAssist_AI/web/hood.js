/** Under the hood, in development: the duration and size of each request. */
import { signal } from "@preact/signals";
import { observers } from "page/api.js";
import { t } from "page/i18n.js";
import { attempt, html } from "page/ui.js";

const KEPT = 200;
const SHOWN = 12;
const HEALTH_MS = 5000;

const calls = signal([]);

observers.add((method, path, response, milliseconds) => {
  const queries = response.headers.get("X-Query-Count");
  const cache = response.headers.get("X-Page-Cache");
  const left = response.headers.get("RateLimit-Remaining");
  const made = { method, path, status: response.status, milliseconds, queries, cache, left, bytes: null, key: performance.now() };
  calls.value = [made, ...calls.value].slice(0, KEPT);
});

// The browser counts the bytes on the wire: for a 304 or a compressed response they are fewer than the body's.
new PerformanceObserver((entries) => {
  for (const entry of entries.getEntries()) {
    const { pathname, search } = new URL(entry.name);
    const index = calls.value.findLastIndex((it) => it.path === pathname + search && it.bytes === null);
    if (index >= 0) calls.value = calls.value.with(index, { ...calls.value[index], bytes: entry.transferSize });
  }
}).observe({ type: "resource", buffered: false });

/** The duration below which this share of the calls was (a percentile). */
function percentile(share, of = calls.value) {
  const times = of.map((it) => it.milliseconds).sort((a, b) => a - b);
  return times.length ? `${times[Math.ceil(share * times.length) - 1].toFixed(0)} ms` : "–";
}

/** Group calls by the method and the path without ids and queries. */
function kinds() {
  const kindOf = ({ method, path }) => `${method} ${path.split("?")[0].replace(/[0-9a-f-]{36}|\d+/g, "…")}`;
  return Object.entries(Object.groupBy(calls.value, kindOf)).sort(([, a], [, b]) => b.length - a.length).slice(0, SHOWN);
}

const health = signal(null);

/** The queue's state from `/healthz/ready`, requested while the panel is open. */
function followHealth(event) {
  clearInterval(followHealth.timer);
  if (!event.currentTarget.open) return;
  const ask = () => attempt(async () => { health.value = await (await fetch("/healthz/ready")).json(); });
  followHealth.timer = setInterval(ask, HEALTH_MS);
  ask();
}

export function Hood() {
  const { workers, queue_age_seconds: age, queue_depth: depth, redis, postgres } = health.value ?? {};
  return html`<details class="hood" dir="ltr" onToggle=${followHealth}>
    <summary>${t("underTheHood")} · ${calls.value.length} · p50 ${percentile(0.5)} · p95 ${percentile(0.95)}</summary>
    <p>${health.value && `Redis ${redis} · PostgreSQL ${postgres} · ${t("workers", { count: workers })} · ${t("queueDepth", { count: depth })} · ${t("queueAge", { age: age === null ? "0 s" : `${age.toFixed(0)} s` })}`}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("underTheHood")}>
    <table>
      <thead><tr><th>${t("request")}</th><th>${t("httpStatus")}</th><th>ms</th><th>SQL</th><th>${t("pageCache")}</th><th>${t("bytes")}</th><th>${t("left")}</th></tr></thead>
      <tbody>${calls.value.slice(0, SHOWN).map((it) => html`<tr key=${it.key}>
        <td>${it.method} ${it.path}</td><td>${it.status}</td><td>${it.milliseconds.toFixed(0)}</td>
        <td>${it.queries ?? "–"}</td><td>${it.cache ?? "–"}</td><td>${it.bytes ?? "–"}</td><td>${it.left ?? "–"}</td></tr>`)}</tbody>
      <thead><tr><th>${t("kindOfRequest")}</th><th>${t("count")}</th><th>p50</th><th>p95</th></tr></thead>
      <tbody>${kinds().map(([kind, them]) => html`<tr><td>${kind}</td><td>${them.length}</td><td>${percentile(0.5, them)}</td><td>${percentile(0.95, them)}</td></tr>`)}</tbody>
    </table></div>
    <p class="hint">${t("hoodHint")}</p>
  </details>`;
}
