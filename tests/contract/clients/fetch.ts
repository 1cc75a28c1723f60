// openapi-typescript with its default options, and openapi-fetch. The types are in ./schema.d.ts.
import assert from "node:assert/strict";
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

const baseUrl = process.argv[2];
const password = "correct-horse-battery";
let access = "";
const bearer: Middleware = {
  onRequest({ request }) {
    if (access) request.headers.set("Authorization", `Bearer ${access}`);
    return request;
  },
};
const api = createClient<paths>({ baseUrl });
api.use(bearer);

function got<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(answer.data !== undefined, `${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

const registered = got(await api.POST("/api/auth/register/", { body: { email: "fetch@example.com", name: "Ada", password } }));
access = registered.access;
const pair = got(await api.POST("/api/auth/refresh/", { body: { refresh: registered.refresh } }));
access = pair.access;

const topicTexts = { explanation: "A loop repeats.", code: "for n in x: pass", code_language: "Python", sources: [] };
const note = got(
  await api.POST("/api/notes/", {
    body: {
      title: "Loops",
      status: "published",
      tags: ["python"],
      chapters: [{ title: "Basics", topics: [{ title: "For", ...topicTexts }] }],
    },
    params: { header: { "Idempotency-Key": "note-1" } },
  }),
);
const topic = note.chapters[0]!.topics[0]!;

const renamed = got(
  await api.PATCH("/api/topics/{id}/", { params: { path: { id: topic.id } }, body: { title: "For loops" } }),
);
assert.equal(renamed.title, "For loops");
const { explanation, code, code_language, sources } = renamed;
assert.deepEqual({ explanation, code, code_language, sources }, topicTexts);
const renamedNote = got(
  await api.PATCH("/api/notes/{id}/", { params: { path: { id: note.id } }, body: { title: "All loops" } }),
);
assert.deepEqual([renamedNote.title, renamedNote.status, renamedNote.tags], ["All loops", "published", ["python"]]);

const submission: components["schemas"]["GenerateExplanationRequest"] = {
  request_type: "generate_explanation",
  request_data: { topic: "For loops", level: "advanced" },
  topic_id: topic.id,
  apply: false,
};
const task = got(await api.POST("/api/ai/tasks/", { body: submission }));
const events = await api.GET("/api/ai/tasks/{id}/events/", { params: { path: { id: task.id } }, parseAs: "text" });
assert.match(String(events.data), /event: task\.succeeded\n/);
const finished = got(await api.GET("/api/ai/tasks/{id}/", { params: { path: { id: task.id } } }));
assert.equal(finished.status, "succeeded");

const pending = got(await api.GET("/api/notifications/pending/"));
assert.deepEqual(pending.results.map((entry) => entry.action_id), [task.id]);

const missing = await api.GET("/api/notes/{id}/", { params: { path: { id: note.id + 1000 } } });
assert.equal(missing.error?.code, "not_found");
console.log("fetch: ok");
