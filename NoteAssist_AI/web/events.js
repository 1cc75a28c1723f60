/**
 * Event streams. An EventSource cannot send headers, so it opens with a ticket, which is valid for 15 minutes.
 *
 * If no stream can be opened (too many are open, or a proxy blocks them), the caller polls, and the stream is tried
 * again later.
 */
import { call } from "page/api.js";

const RETRY_MS = 30_000;
const TICKET_MARGIN_MS = 60_000;
let ticket = { value: "", expiresAt: 0 };

async function newTicket() {
  if (Date.now() > ticket.expiresAt - TICKET_MARGIN_MS) {
    const answer = await call("POST", "/api/auth/stream-ticket/");
    ticket = { value: answer.ticket, expiresAt: Date.now() + answer.expires_in * 1000 };
  }
  return ticket.value;
}

/** Drop the ticket, as it ends with its session. */
export function forgetTicket() {
  ticket = { value: "", expiresAt: 0 };
}

/**
 * Listen to a stream until the returned function is called.
 *
 * `handlers` maps an event's name to a function of its data. `poll` is called every `pollMs` while there is no stream;
 * it may return the milliseconds until its next call.
 */
export function listen(url, handlers, { poll, pollMs }) {
  let source = null;
  let lastId = "";
  let isClosed = false;
  let pollTimer = null;
  let retryTimer = null;

  async function open() {
    try {
      const query = new URLSearchParams({ ticket: await newTicket(), ...(lastId && { last_event_id: lastId }) });
      if (isClosed) return;
      source = new EventSource(`${url}?${query}`);
    } catch {
      return giveWay();
    }
    source.onopen = () => stopPolling();
    source.onerror = () => {
      // EventSource reconnects a broken stream itself, but not a refused one (an old ticket, or too many streams).
      if (source.readyState === EventSource.CLOSED) giveWay();
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        lastId = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
  }

  function giveWay() {
    if (isClosed) return;
    forgetTicket();
    pollTimer ??= setTimeout(pollAgain, pollMs);
    retryTimer = setTimeout(open, RETRY_MS);
  }

  async function pollAgain() {
    const wait = await poll().catch((problem) => (problem.retryAfter ?? 0) * 1000);
    if (!isClosed && pollTimer !== null) pollTimer = setTimeout(pollAgain, Math.max(wait || 0, pollMs));
  }

  function stopPolling() {
    clearTimeout(pollTimer);
    pollTimer = null;
  }

  open();
  return () => {
    isClosed = true;
    source?.close();
    stopPolling();
    clearTimeout(retryTimer);
  };
}
