/** The user's account: name, password, sessions, export and deletion. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { formatTime, t } from "page/i18n.js";
import { changePassword, deleteAccount, leave, user } from "page/session.js";
import { Action, attempt, Field, Form, html, saveAs, toast } from "page/ui.js";

export function Account() {
  const rename = async (fields) => {
    user.value = await call("PATCH", "/api/users/me/", { body: fields });
    toast(t("saved"), "success");
  };
  const change = async (passwords, form) => {
    await changePassword(passwords);
    form.reset();
    toast(t("passwordChanged"), "success");
  };
  const remove = async ({ password }) => {
    if (confirm(t("confirmDeleteAccount"))) await deleteAccount(password);
  };
  return html`<h1>${t("account")}</h1>
    <p><a href="#/">‹ ${t("notes")}</a></p>
    <section class="card"><h2>${user.value?.email}</h2>
      <${Form} label=${t("save")} send=${rename}>${(problem) => html`
        <${Field} label=${t("name")} name="name" maxlength="150" defaultValue=${user.value?.name} error=${problem?.of?.("/name")} />`}<//>
    </section>
    <${Sessions} />
    <section class="card"><h2>${t("changePassword")}</h2>
      <${Form} label=${t("changePassword")} send=${change}>${(problem) => html`
        <${Field} label=${t("oldPassword")} name="old_password" type="password" required autocomplete="current-password" error=${problem?.of?.("/old_password")} />
        <${Field} label=${t("newPassword")} name="new_password" type="password" required autocomplete="new-password" hint=${t("passwordHint")} error=${problem?.of?.("/new_password")} />`}<//>
    </section>
    <section class="card"><h2>${t("myData")}</h2><p>${t("exportWhat")}</p>
      <${Action} run=${download}>${t("export")}<//>
    </section>
    <section class="card danger"><h2>${t("deleteAccount")}</h2><p>${t("deleteWhat")}</p>
      <${Form} label=${t("deleteAccount")} send=${remove}>${() => html`
        <${Field} label=${t("password")} name="password" type="password" required autocomplete="current-password" />`}<//>
    </section>`;
}

function Sessions() {
  const [page, setPage] = useState(null);
  const load = async () => setPage(await call("GET", "/api/auth/sessions/?page_size=50"));
  useEffect(() => { attempt(load); }, []);
  const end = async ({ id }) => {
    await call("DELETE", `/api/auth/sessions/${id}/`);
    await load();
  };
  const endAll = async () => {
    await call("POST", "/api/auth/logout-all/");
    await leave();
  };
  return html`<section class="card"><h2>${t("sessions")}</h2>
    <ul class="plain">${page?.results.map((it) => html`<li key=${it.id} class="row spread">
      <span><span dir="ltr">${it.device || t("unknownDevice")}</span> <small>${it.address} · ${formatTime(it.last_used_at)}</small></span>
      ${it.current ? html`<b>${t("thisSession")}</b>` : html`<${Action} class="small" run=${() => end(it)}>${t("end")}<//>`}
    </li>`)}</ul>
    <${Action} run=${endAll}>${t("signOutEverywhere")}<//>
  </section>`;
}

async function download() {
  await saveAs(await call("GET", "/api/users/me/export/", { raw: true }), "export.zip");
}
