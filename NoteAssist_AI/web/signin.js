/** Signing in, registering, and asking for a new password. */
import { useState } from "preact/hooks";
import { callPublic } from "page/api.js";
import { t } from "page/i18n.js";
import { demo, register, signIn } from "page/session.js";
import { Action, Field, Form, html, toast } from "page/ui.js";

export function SignIn() {
  const [screen, show] = useState("signIn");
  const { Screen } = { signIn: { Screen: Enter }, register: { Screen: Register }, reset: { Screen: Reset } }[screen];
  return html`<section class="card">
    <h1>${t(screen)}</h1>
    ${screen === "signIn" && html`<p class="lead">${t("lead")}</p>`}
    ${demo && screen === "signIn" && html`<${Action} class="demo" run=${() => signIn(demo)}>${t("demoLogin")}<//>`}
    <${Screen} show=${show} />
    <p class="links">
      ${["signIn", "register", "reset"].filter((it) => it !== screen).map((it) =>
        html`<button type="button" class="link" onClick=${() => show(it)}>${t(it)}</button>`)}
    </p>
  </section>`;
}

const Email = ({ problem }) => html`<${Field} label=${t("email")} name="email" type="email" required autocomplete="username" error=${problem?.of?.("/email")} />`;

function Enter() {
  return html`<${Form} label=${t("signIn")} send=${signIn}>${(problem) => html`
    <${Email} problem=${problem} />
    <${Field} label=${t("password")} name="password" type="password" required autocomplete="current-password" />`}<//>`;
}

function Register() {
  return html`<${Form} label=${t("register")} send=${register}>${(problem) => html`
    <${Email} problem=${problem} />
    <${Field} label=${t("name")} name="name" autocomplete="name" error=${problem?.of?.("/name")} />
    <${Field} label=${t("password")} name="password" type="password" required autocomplete="new-password"
      hint=${t("passwordHint")} error=${problem?.of?.("/password")} />`}<//>`;
}

function Reset({ show }) {
  const [isSent, setSent] = useState(false);
  const ask = async ({ email }) => {
    await callPublic("POST", "/api/auth/password/reset/", { email });
    setSent(true);
  };
  const confirm = async ({ token, new_password }) => {
    await callPublic("POST", "/api/auth/password/reset/confirm/", { token: token.trim(), new_password });
    toast(t("passwordChanged"), "success");
    show("signIn");
  };
  if (!isSent) return html`<${Form} label=${t("sendCode")} send=${ask}>${(problem) => html`<${Email} problem=${problem} />`}<//>`;
  return html`<p>${t("codeSent")}</p>
    <${Form} key="confirm" label=${t("changePassword")} send=${confirm}>${(problem) => html`
      <${Field} label=${t("code")} name="token" required autocomplete="one-time-code" error=${problem?.of?.("/token")} />
      <${Field} label=${t("newPassword")} name="new_password" type="password" required autocomplete="new-password"
        hint=${t("passwordHint")} error=${problem?.of?.("/new_password")} />`}<//>`;
}
