/** Paginated lists: each response has the URL of the next page. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { html } from "page/ui.js";

export const TYPING_MS = 300;
const EMPTY = { items: [], next: null, isLoading: true, problem: null };

/**
 * A list whose first page is at the URL that `first` returns.
 *
 * `state` is `{items, next, isLoading, problem}`. A new load aborts the previous one.
 */
export function pagedList(first) {
  const state = signal(EMPTY);
  let request = null;
  let timer = null;

  async function fetchPage(address, before) {
    request?.abort();
    const mine = (request = new AbortController());
    state.value = { ...state.value, isLoading: true, problem: null };
    try {
      const page = await call("GET", pathOf(address), { signal: mine.signal });
      state.value = { items: [...before, ...page.results], next: page.next, isLoading: false, problem: null };
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== request) return;
      state.value = { ...state.value, isLoading: false, problem };
      if (problem.retryAfter) loadIn(problem.retryAfter * 1000); // the server says when to try again
    }
  }

  const load = () => fetchPage(first(), []);

  /** Load after a delay; a new call restarts the delay. */
  function loadIn(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(load, milliseconds);
  }

  return {
    state,
    load,
    loadIn,
    loadMore: async () => {
      const { next, items, isLoading } = state.value;
      if (next && !isLoading) await fetchPage(next, items);
    },
    /** Change the shown items after a write to the server. */
    change: (how) => { state.value = { ...state.value, items: how(state.value.items) }; },
    forget: () => {
      request?.abort();
      clearTimeout(timer);
      state.value = EMPTY;
    },
  };
}

function pathOf(address) {
  const url = new URL(address, location.origin);
  return url.pathname + url.search;
}

/** Loads the next page when the user scrolls near it; the button works without scrolling. */
export function More({ list }) {
  const ref = useRef(null);
  const { next, items } = list.state.value;
  useEffect(() => {
    if (next === null) return undefined;
    const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && list.loadMore(), { rootMargin: "300px" });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [next === null, items.length]);
  return next !== null && html`<p ref=${ref}><button type="button" class="quiet" onClick=${list.loadMore}>${t("more")}</button></p>`;
}
