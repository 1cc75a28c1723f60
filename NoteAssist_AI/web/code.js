/** Syntax highlighting. highlight.js and a grammar are loaded with the first code in one of the languages below. */
import { signal } from "@preact/signals";
import { attempt, html } from "page/ui.js";

const CODE_MAX = 50_000; // in characters; longer code is not highlighted
const GRAMMARS = {
  bash: () => import("highlight/bash"),
  c: () => import("highlight/c"),
  cpp: () => import("highlight/cpp"),
  csharp: () => import("highlight/csharp"),
  go: () => import("highlight/go"),
  java: () => import("highlight/java"),
  javascript: () => import("highlight/javascript"),
  python: () => import("highlight/python"),
  ruby: () => import("highlight/ruby"),
  rust: () => import("highlight/rust"),
  sql: () => import("highlight/sql"),
  typescript: () => import("highlight/typescript"),
};
/** Other names of languages, as the API has them (`LANGUAGE_ALIASES`). */
const ALIASES = {
  py: "python", python3: "python", js: "javascript", node: "javascript", ts: "typescript", golang: "go", rs: "rust",
  rb: "ruby", sh: "bash", shell: "bash", "c++": "cpp", "c#": "csharp", cs: "csharp", postgresql: "sql", postgres: "sql",
};

const known = signal([]); // languages with a loaded grammar; components that read this signal render again when it changes
const asked = new Set();
let library = null;

async function load(language) {
  const [core, grammar] = await Promise.all([import("highlight"), GRAMMARS[language]()]);
  library = core.default;
  library.registerLanguage(language, grammar.default);
  known.value = [...known.value, language];
}

/** The code as escaped HTML with a class for each kind of token; "" if it cannot be highlighted, or not yet. */
export function highlighted(code, name) {
  const written = name.trim().toLowerCase();
  const language = Object.hasOwn(ALIASES, written) ? ALIASES[written] : written;
  if (!Object.hasOwn(GRAMMARS, language) || code.length > CODE_MAX) return "";
  if (known.value.includes(language)) return library.highlight(code, { language }).value;
  if (!asked.has(language)) {
    asked.add(language);
    attempt(() => load(language));
  }
  return "";
}

export function Code({ text, language }) {
  const colours = highlighted(text, language);
  return colours ? html`<code key="colours" dangerouslySetInnerHTML=${{ __html: colours }} />` : html`<code key="plain">${text}</code>`;
}
