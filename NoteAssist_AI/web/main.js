/** The entry point: the current screen, and the frame around it. */
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { effect } from "@preact/signals";
import { isSignedIn } from "page/api.js";
import { language, LANGUAGES, setFirstLanguage, setLanguage, t } from "page/i18n.js";
import { NoteList } from "page/list.js";
import { addressOfTitle, forgetNotes } from "page/notes.js";
import { go, route } from "page/router.js";
import { forgetSearch } from "page/search.js";
import { demo, loadUser, signOut, user } from "page/session.js";
import { SignIn } from "page/signin.js";
import { Action, attempt, html, Later, toast, Toasts } from "page/ui.js";

// Modules that the list of notes does not need are loaded after it. All modules of a note are named, so that they load
// at the same time, not one after another.
const NOTE = async () => (await Promise.all([
  import("page/note.js"), import("page/topic.js"), import("page/ai.js"), import("page/tasks.js"), import("page/events.js"),
  import("page/code.js"), import("page/conflict.js"), import("page/moving.js"), import("page/files/attachments.js"),
]))[0];
const TRAY = () => import("page/tray.js");
const BELL = () => import("page/bell.js");
const ACCOUNT = () => import("page/account.js");
const HOOD = () => import("page/hood.js");
const ASK = () => import("page/ask.js");
const STUDY = () => import("page/study/screen.js");
const IMPORT = () => import("page/files/import.js");

function Languages() {
  return html`<select class="quiet" aria-label=${t("language")} value=${language.value}
    onChange=${(event) => attempt(() => setLanguage(event.target.value))}>
    ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code}>${name}</option>`)}
  </select>`;
}

function Header() {
  return html`<header class="top">
    <a class="brand" href="#/"><svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" /><path d="M9 7h9l5 5v13H9z" /></svg>
      <span>NoteAssist AI</span></a>
    <nav aria-label=${t("account")}>
      ${isSignedIn.value && html`<a class="button quiet" href="#/ask">${t("ask")}</a><a class="button quiet" href="#/study">${t("study")}</a>
        <${Later} load=${TRAY} name="Tray" isQuiet /><${Later} load=${BELL} name="Bell" isQuiet />
        <a class="button quiet" href="#/account">${user.value?.name || t("account")}</a>
        <${Action} class="quiet" run=${signOut}>${t("signOut")}<//>`}
      <${Languages} />
    </nav>
  </header>`;
}

function Workbench() {
  const { name, part, id, topicId, blockId } = route.value;
  useEffect(() => {
    attempt(loadUser);
    return () => {
      forgetNotes();
      forgetSearch();
    };
  }, []);
  useEffect(() => { if (name === "title") attempt(() => openByTitle(part)); }, [name, part]);
  if (name === "account") return html`<main id="main" class="narrow"><${Later} load=${ACCOUNT} name="Account" /></main>`;
  if (name === "import") return html`<main id="main" class="narrow"><${Later} load=${IMPORT} name="Import" /></main>`;
  if (name === "ask") return html`<main id="main" class="narrow"><${Later} load=${ASK} name="AskNotes" /></main>`;
  if (name === "study") return html`<main id="main" class="narrow"><${Later} load=${STUDY} name="Study" /></main>`;
  const isOpen = name === "note" && id;
  return html`<main id="main" class=${isOpen ? "bench open" : "bench"}>
    <${NoteList} isTrash=${name === "trash"} />
    ${isOpen
      ? html`<${Later} key=${id} load=${NOTE} name="NoteScreen" id=${id} topicId=${topicId} blockId=${blockId} />`
      : html`<section class="note empty"><p>${t("chooseNote")}</p></section>`}
  </main>`;
}

/** The target of a link `[[Title]]`. */
async function openByTitle(title) {
  const address = await addressOfTitle(title);
  if (address) go(address);
  else toast(t("noSuchNote", { title }), "error");
}

function Page() {
  return html`<a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <${Header} />
    ${isSignedIn.value ? html`<${Workbench} />` : html`<main id="main" class="narrow"><${SignIn} /></main>`}
    ${demo && html`<${Later} load=${HOOD} name="Hood" />`}
    <${Toasts} />`;
}

function skip(event) {
  event.preventDefault(); // the part after # belongs to the router
  document.querySelector("#main h1, #main h2")?.scrollIntoView();
  document.querySelector("#main input, #main button, #main a")?.focus();
}

effect(() => { document.title = user.value ? `NoteAssist AI · ${user.value.name || user.value.email}` : "NoteAssist AI"; });

await attempt(setFirstLanguage);
render(html`<${Page} />`, document.getElementById("page"));

// It makes the client work offline. Nothing waits for it, as its files are the ones that are loaded anyway.
navigator.serviceWorker?.register("/sw.js").catch(() => toast(t("noOffline")));
