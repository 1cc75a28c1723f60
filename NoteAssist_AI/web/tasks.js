/** AI tasks: submitting, watching and cancelling them. The server stores them, so a reload loses none. */
import { signal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { listen } from "page/events.js";
import { attempt } from "page/ui.js";

const ENDED = ["succeeded", "failed", "cancelled"];
const SHOWN = 15;
const STREAMS_AT_ONCE = 3;
const POLL_MS = 2000;
const SILENCE_MS = 8000;
const SILENCE_MAX_MS = 60_000;

/** The tasks, newest first, as in `GET /api/ai/tasks/`; `result` is set once it was read. */
export const tasks = signal([]);
/** The text received so far, by the task's id. */
export const texts = signal({});
/** The task shown below a topic's text, by the topic's id. */
export const below = signal({});
/** The ids of tasks that were requested here, until their proposals are shown. */
export const asked = new Set();
/** The id of the task whose answer the tray shows, or null. */
export const shownId = signal(null);

let submitting = Promise.resolve(); // the running request; its task may end before the response arrives
const open = new Map(); // functions that close the streams, by the task's id

export const hasEnded = (task) => ENDED.includes(task.status);

/** Merge new data of a task; a result that was read is kept. */
function merge(task) {
  const known = tasks.value.find((it) => it.id === task.id);
  const rest = tasks.value.filter((it) => it.id !== task.id);
  tasks.value = [{ ...known, ...task }, ...rest].sort((a, b) => b.created_at.localeCompare(a.created_at)).slice(0, SHOWN);
  if (hasEnded(task)) close(task.id);
}

function close(id) {
  open.get(id)?.();
  open.delete(id);
}

/** Load the latest tasks, including those of other devices, and watch the unfinished ones. */
export async function loadTasks() {
  const page = await call("GET", `/api/ai/tasks/?page_size=${SHOWN}`);
  page.results.forEach(merge);
  for (const task of page.results.filter((it) => !hasEnded(it)).slice(0, STREAMS_AT_ONCE)) {
    if (task.topic_id) showBelow(task.topic_id, task.id);
    follow(task);
  }
}

/**
 * Submit a task, usually about a topic, which fills in fields that `data` leaves out. With `apply: "propose"` the answer
 * becomes changes of single blocks to accept or reject. Returns the task.
 */
export async function submit(type, topicId, data, apply = false) {
  const body = { request_type: type, request_data: data, topic_id: topicId, apply };
  const request = call("POST", "/api/ai/tasks/", { body, key: newKey() });
  submitting = request.catch(() => null);
  const task = await request;
  asked.add(task.id);
  merge(task);
  if (topicId) showBelow(topicId, task.id);
  if (!hasEnded(task)) follow(task);
  return task;
}

export function showBelow(topicId, taskId) {
  below.value = { ...below.value, [topicId]: taskId };
}

/** Read a task with its result. */
export async function loadTask(id) {
  merge(await call("GET", `/api/ai/tasks/${id}/`));
}

export async function cancel(task) {
  merge(await call("POST", task.links.cancel));
}

/** Submit the same request again as a new task. */
export async function retry(task) {
  const again = await call("POST", `/api/ai/tasks/${task.id}/retry/`, { key: newKey() });
  asked.add(again.id);
  merge(again);
  if (again.topic_id) showBelow(again.topic_id, again.id);
  follow(again);
}

function follow({ id, links }) {
  if (open.has(id)) return;
  const { hear, stop } = afterSilence(() => loadTask(id));
  const ended = (task) => merge(task);
  const close = listen(links.events, {
    "task.progress": (event) => { hear(); onProgress(event); },
    "task.delta": ({ offset, text }) => { hear(); texts.value = { ...texts.value, [id]: join(texts.value[id] ?? "", offset, text) }; },
    "task.restarted": () => { texts.value = { ...texts.value, [id]: "" }; },
    "task.succeeded": ended,
    "task.failed": ended,
    "task.cancelled": ended,
  }, { pollMs: POLL_MS, poll: () => loadTask(id) });
  open.set(id, () => { stop(); close(); });
}

/** A stream has no event for a task that waits for its provider, so the task is read after growing intervals of silence. */
function afterSilence(read) {
  let wait = SILENCE_MS;
  let timer = null;
  const start = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      wait = Math.min(wait * 2, SILENCE_MAX_MS);
      start();
      attempt(read);
    }, wait);
  };
  start();
  return { hear: () => { wait = SILENCE_MS; start(); }, stop: () => clearTimeout(timer) };
}

/** `offset` counts code points, not UTF-16 units as JavaScript does. */
function join(before, offset, text) {
  const characters = [...before];
  return (characters.length > offset ? characters.slice(0, offset).join("") : before) + text;
}

/** Progress of any of the user's tasks, from the task's own stream or the user's stream. */
export function onProgress({ id, progress, message }) {
  const task = tasks.value.find((it) => it.id === id);
  if (task && !hasEnded(task)) merge({ ...task, status: "running", progress, message });
}

/** A task of the user has ended, perhaps one of another tab. Its own stream, if open, brings the answer. */
export async function onEnd({ id }) {
  await submitting;
  const task = tasks.value.find((it) => it.id === id);
  if (!open.has(id) && !(task && hasEnded(task))) await loadTask(id);
}

export function forgetTasks() {
  [...open.keys()].forEach(close);
  tasks.value = [];
  texts.value = {};
  below.value = {};
  shownId.value = null;
}
