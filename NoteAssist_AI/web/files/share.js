/** Public links to a note: creating and revoking them. */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { formatTime, t } from "page/i18n.js";
import { Action, attempt, Dialog, Field, Form, html, toast } from "page/ui.js";

export function Share({ note, onClose }) {
  const [shares, setShares] = useState(null);
  const path = `/api/notes/${note.id}/shares/`;
  useEffect(() => { attempt(async () => setShares((await call("GET", `${path}?page_size=50`)).results)); }, []);
  const create = async ({ password, expires_at: until }, form) => {
    const body = { ...(password && { password }), ...(until && { expires_at: new Date(until).toISOString() }) };
    const share = await call("POST", path, { body, key: newKey() });
    form.reset();
    setShares([share, ...shares]);
  };
  const revoke = async ({ id }) => {
    await call("DELETE", `${path}${id}/`);
    setShares(shares.filter((it) => it.id !== id));
  };
  const copy = async (url) => {
    await navigator.clipboard.writeText(url);
    toast(t("copied"), "success");
  };
  return html`<${Dialog} title=${t("shareNote")} onClose=${onClose}>
    <p>${t("shareWhat")}</p>
    <${Form} label=${t("makeLink")} send=${create}>${(problem) => html`
      <${Field} label=${t("sharePassword")} name="password" type="password" maxlength="128" autocomplete="new-password" error=${problem?.of?.("/password")} />
      <${Field} label=${t("shareUntil")} name="expires_at" type="datetime-local" error=${problem?.of?.("/expires_at")} />`}<//>
    <ul class="plain">${shares?.map((it) => html`<li key=${it.id} class="card-row">
      <a dir="ltr" href=${it.url} target="_blank" rel="noopener">${it.url}</a>
      <small>${t("shareViews", { count: it.views })}${it.has_password && html` · ${t("hasPassword")}`}${it.expires_at && html` · ${t("goodUntil", { time: formatTime(it.expires_at) })}`}</small>
      <span class="row"><${Action} class="small" run=${() => copy(it.url)}>${t("copyLink")}<//>
        <${Action} class="small quiet danger" run=${() => revoke(it)}>${t("endLink")}<//></span></li>`)}</ul>
  <//>`;
}
