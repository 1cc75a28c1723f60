// @hey-api/openapi-ts. The client is in ./hey/.
import assert from "node:assert/strict";
import { client } from "./hey/client.gen.js";
import * as api from "./hey/sdk.gen.js";
import type { TaskEventData } from "./hey/types.gen.js";

const password = "correct-horse-battery";
let access = "";
client.setConfig({ baseUrl: process.argv[2], auth: () => access, throwOnError: true });
const throwOnError = true;

const registered = await api.register({ throwOnError, body: { email: "hey@example.com", name: "Ada", password } });
access = registered.data.access;
const pair = await api.refreshTokens({ throwOnError, body: { refresh: registered.data.refresh } });
access = pair.data.access;

const topicTexts = { explanation: "A loop repeats.", code: "for n in x: pass", code_language: "Python", sources: [] };
const { data: note } = await api.createNote({
  throwOnError,
  body: {
    title: "Loops",
    status: "published",
    tags: ["python"],
    chapters: [{ title: "Basics", topics: [{ title: "For", ...topicTexts }] }],
  },
  headers: { "Idempotency-Key": "note-1" },
});
const topic = note.chapters[0]!.topics[0]!;

const { data: renamed } = await api.updateTopic({
  throwOnError,
  path: { id: topic.id },
  body: { title: "For loops" },
});
const { explanation, code, code_language, sources } = renamed;
assert.deepEqual({ explanation, code, code_language, sources }, topicTexts);
assert.equal(renamed.title, "For loops");
const { data: renamedNote } = await api.updateNote({ throwOnError, path: { id: note.id }, body: { title: "All loops" } });
assert.deepEqual([renamedNote.title, renamedNote.status, renamedNote.tags], ["All loops", "published", ["python"]]);

const { data: task } = await api.createTask({
  throwOnError,
  body: { request_type: "summarize", request_data: { length: "short" }, topic_id: topic.id },
});
const { stream } = await api.streamTask({ path: { id: task.id } });
let last: TaskEventData | undefined;
for await (const event of stream) last = event as TaskEventData;
assert.ok(last && "status" in last && last.status === "succeeded");
assert.ok(last.result?.content);

const { data: pending } = await api.listPendingNotifications({ throwOnError });
assert.deepEqual(pending.results.map((entry) => entry.action_id), [task.id]);

const missing = await api.getNote({ path: { id: note.id + 1000 }, throwOnError: false });
assert.equal(missing.error?.code, "not_found");
console.log("hey: ok");
