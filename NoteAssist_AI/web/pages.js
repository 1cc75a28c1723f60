/** Lists that come in pages: each answer has the address of the next one. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { html } from "page/ui.js";

export const TYPING_MS = 300;
const EMPTY = { items: [], next: null, isLoading: true, problem: null };

/**
 * A list that begins at the address that `first` gives.
 *
 * `state` is `{items, next, isLoading, problem}`. A new load aborts the one before: its answer is of no use any more.
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
      if (problem.retryAfter) loadIn(problem.retryAfter * 1000); // the server says when to come back
    }
  }

  const load = () => fetchPage(first(), []);

  /** Load in a while, unless that is asked for again before. */
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
    /** Change the items that are shown, as a write has changed them at the server. */
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

/** Loads the next page when one scrolls near; the button is for whoever does not scroll. */
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
