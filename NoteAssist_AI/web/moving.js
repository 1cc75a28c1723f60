/** Moving chapters and topics: by dragging, or with the arrow buttons of a topic. */
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { inOrder } from "page/notes.js";
import { toast } from "page/ui.js";

const TYPE = "application/x-noteassist";

/** Move a topic within the note; the message offers to undo it. `order` counts from 0. */
export async function moveTopic({ topic, from, to, reload }) {
  const move = ({ chapter, order }) => call("POST", `/api/topics/${topic.id}/move/`, { body: { chapter, order } });
  await moveAndTell({ title: topic.title, move, from, to, reload });
}

export async function moveChapter({ chapter, from, to, reload }) {
  const move = (order) => call("POST", `/api/chapters/${chapter.id}/move/`, { body: { order } });
  await moveAndTell({ title: chapter.title, move, from, to, reload });
}

async function moveAndTell({ title, move, from, to, reload }) {
  const go = (place) => inOrder(async () => {
    await move(place);
    await reload();
  });
  await go(to);
  toast(t("moved", { title }), "success", () => go(from));
}

/** The attributes of a drag handle. */
export function handle(dragged) {
  return {
    draggable: true,
    onDragStart: (event) => {
      event.dataTransfer.setData(TYPE, JSON.stringify(dragged));
      event.dataTransfer.effectAllowed = "move";
    },
  };
}

/**
 * The attributes of an element on which a topic can be dropped: `drop(dragged, isAfter)`.
 *
 * A topic dropped on its upper half goes before it, on its lower half after it; a line shows which.
 */
export function place(drop) {
  const isAfter = (event) => {
    const { top, height } = event.currentTarget.getBoundingClientRect();
    return event.clientY > top + height / 2;
  };
  const mark = (element, where) => {
    if (where) element.dataset.drop = where;
    else delete element.dataset.drop;
  };
  return {
    onDragOver: (event) => {
      if (!event.dataTransfer.types.includes(TYPE)) return;
      event.preventDefault();
      mark(event.currentTarget, isAfter(event) ? "after" : "before");
    },
    onDragLeave: (event) => mark(event.currentTarget, null),
    onDrop: (event) => {
      mark(event.currentTarget, null);
      if (!event.dataTransfer.types.includes(TYPE)) return;
      event.preventDefault();
      drop(JSON.parse(event.dataTransfer.getData(TYPE)), isAfter(event));
    },
  };
}
