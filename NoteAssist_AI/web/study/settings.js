/** Study settings. A change applies from the next review on. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { attempt, Field, Form, html, toast } from "page/ui.js";

const PATH = "/api/study/settings/";
const minutes = (seconds) => seconds.map((it) => it / 60).join(", ");
const seconds = (text) => text.split(",").map((it) => Math.round(Number(it.trim()) * 60)).filter(Boolean);

export function Settings() {
  const [settings, setSettings] = useState(null);
  useEffect(() => { attempt(async () => setSettings(await call("GET", PATH))); }, []);
  if (!settings) return html`<p class="loading">${t("loading")}</p>`;
  const save = async (fields) => {
    setSettings(await call("PATCH", PATH, {
      body: {
        desired_retention: Number(fields.desired_retention) / 100,
        new_per_day: Number(fields.new_per_day),
        reviews_per_day: Number(fields.reviews_per_day),
        time_zone: fields.time_zone,
        day_starts_at: fields.day_starts_at,
        learning_steps: seconds(fields.learning_steps),
        relearning_steps: seconds(fields.relearning_steps),
      },
    }));
    toast(t("saved"), "success");
  };
  return html`<section class="card">
    <${Form} label=${t("save")} send=${save}>${(problem) => {
      const field = (name, value, input = {}) => html`<${Field} label=${t(`settings.${name}`)} name=${name} required defaultValue=${value} error=${problem?.of?.(`/${name}`)} ...${input} />`;
      return html`
        ${field("desired_retention", Math.round(settings.desired_retention * 100), { type: "number", min: 70, max: 97, hint: t("retentionHint") })}
        ${field("new_per_day", settings.new_per_day, { type: "number", min: 0, max: 9999 })}
        ${field("reviews_per_day", settings.reviews_per_day, { type: "number", min: 0, max: 9999 })}
        ${field("time_zone", settings.time_zone, { list: "zones", dir: "ltr" })}
        <datalist id="zones">${Intl.supportedValuesOf("timeZone").map((it) => html`<option value=${it} />`)}</datalist>
        ${field("day_starts_at", settings.day_starts_at, { type: "time" })}
        ${field("learning_steps", minutes(settings.learning_steps), { required: false, dir: "ltr", hint: t("stepsHint") })}
        ${field("relearning_steps", minutes(settings.relearning_steps), { required: false, dir: "ltr" })}`;
    }}<//>
  </section>`;
}
