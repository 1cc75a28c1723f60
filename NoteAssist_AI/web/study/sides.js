/** The question and the answer of a card's face. */

const DELETION = /\{\{c(\d+)::([\s\S]*?)(?:::([\s\S]*?))?\}\}/g;

/** Both sides as Markdown. A cloze card has a face for each number among its deletions, a reversed card has two. */
export function sidesOf({ kind, front, back }, face) {
  if (kind === "reversed" && face === 2) return { question: back, answer: front };
  if (kind !== "cloze") return { question: front, answer: back };
  const question = front.replace(DELETION, (_, number, text, hint) => (Number(number) === face ? `**[${hint || "…"}]**` : text));
  const whole = front.replace(DELETION, (_, number, text) => (Number(number) === face ? `**${text}**` : text));
  return { question, answer: back ? `${whole}\n\n${back}` : whole };
}

/** The beginning of a card in one line, for lists. */
export function lineOf({ front }) {
  return front.replace(DELETION, "$2").split("\n", 1)[0].slice(0, 200);
}
