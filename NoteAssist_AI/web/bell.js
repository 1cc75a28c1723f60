/** New notifications as they arrive, and the unread ones. */
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { call } from "page/api.js";
import { forgetTicket, listen } from "page/events.js";
import { formatTime, t } from "page/i18n.js";
import { loadTask, onEnd, onProgress, shownId } from "page/tasks.js";
import { Action, attempt, html, toast } from "page/ui.js";

const POLL_MS = 30_000;

const inbox = signal({ count: 0, results: [] });

async function loadInbox() {
  inbox.value = await call("GET", "/api/notifications/pending/");
}

/**
 * Listen to the user's events until the returned function is called.
 *
 * The stream is opened before the inbox is read, so that no notification is missed in between.
 */
function followUser() {
  const ended = (event) => attempt(() => onEnd(event));
  const stop = listen(`${document.documentElement.dataset.events}/api/notifications/stream/`, {
    notification: receive,
    "task.progress": onProgress,
    "task.succeeded": ended,
    "task.failed": ended,
    "task.cancelled": ended,
  }, { pollMs: POLL_MS, poll: loadInbox });
  attempt(loadInbox);
  return stop;
}

function receive(notification) {
  const { count, results } = inbox.value;
  if (results.some((it) => it.id === notification.id)) return;
  inbox.value = { count: count + 1, results: [notification, ...results] };
  toast(notification.title, notification.type);
}

/** A notification is about a task; the tray shows the task's answer. */
async function showTask(id) {
  await loadTask(id);
  shownId.value = id;
}

async function readAll() {
  await call("POST", "/api/notifications/read/", { body: { all: true } });
  forget();
}

function forget() {
  inbox.value = { count: 0, results: [] };
}

export function Bell() {
  useEffect(() => {
    const stop = followUser();
    return () => {
      stop();
      forget();
      forgetTicket();
    };
  }, []);
  const { count, results } = inbox.value;
  return html`<details class="menu">
    <summary aria-label=${t("notificationsUnread", { count })}>
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 17V11a6 6 0 0 1 12 0v6l1.5 2h-15zM10 21h4" /></svg>
      ${count > 0 && html`<b class="count">${count}</b>`}</summary>
    <div class="panel">
      <h2>${t("notifications")}</h2>
      ${count === 0 ? html`<p class="hint">${t("noNotifications")}</p>` : html`<${Action} class="small" run=${readAll}>${t("markRead")}<//>`}
      <ul class="plain">${results.map((it) => html`<li key=${it.id} class=${it.type}><b dir="auto">${it.title}</b><p dir="auto">${it.message}</p><small>${formatTime(it.created_at)}</small>
        ${it.action_id && html` <${Action} class="small quiet" run=${() => showTask(it.action_id)}>${t("show")}<//>`}</li>`)}</ul>
    </div>
  </details>`;
}
