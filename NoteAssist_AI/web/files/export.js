/** Export of a note: Markdown at once, PDF by a background job. */
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { saveAs, toast } from "page/ui.js";

const POLL_MS = 1500;
const isOver = ({ status }) => ["succeeded", "failed", "cancelled"].includes(status);

export async function exportMarkdown(note) {
  await saveAs(await call("GET", `/api/notes/${note.id}/export/?format=md`, { raw: true }), `${note.title}.md`);
}

export async function exportPdf(note) {
  let job = await call("POST", "/api/notes/exports/", { body: { note_id: note.id, format: "pdf" }, key: newKey() });
  if (!isOver(job)) toast(t("pdfBeingMade"));
  while (!isOver(job)) {
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
    job = await call("GET", `/api/notes/exports/${job.id}/`);
  }
  if (job.status !== "succeeded") throw job.error ?? new Error(t("job.cancelled"));
  for (const warning of job.warnings ?? []) toast(warning);
  await saveAs(await call("GET", `/api/notes/exports/${job.id}/file/`, { raw: true }), `${note.title}.pdf`);
}
