// PAUSE and KILL. KILL is never disabled: hold 0.8 s with the pointer, or press Enter and confirm; if the page cannot reach
// the server it says which command to type instead.
import { $, el, setClass, setText } from "./dom.js";
import { age, clock } from "./format.js";
import { post } from "./net.js";

const HOLD_MS = 800;
const clearPhrase = document.querySelector('meta[name="clear-phrase"]').content;
let control = { paused: false, killed: false };
let toastTimer = 0;

export function toast(text, className = "") {
  setText($("toast"), text);
  setClass($("toast"), className);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => setText($("toast"), ""), 9000);
}

async function sendKill(reason) {
  toast("KILL sent…", "warn");
  try {
    const answer = await post("/api/admin/kill", { reason }, 3000);
    const slowest = Math.max(0, ...answer.processes.map((p) => p.ms ?? 0));
    toast(`KILL latched: seen by ${answer.seen}/${answer.of} processes, slowest ${slowest.toFixed(1)} ms${answer.warnings.length ? ` · ${answer.warnings[0]}` : ""}`, "down");
  } catch (error) {
    const line = document.querySelector("#banner code").textContent;
    $("banner-text").textContent = `KILL was not delivered (${error.cause}); the engine may still be trading`;
    $("banner").hidden = false;
    toast(`KILL not delivered: run ${line}`, "down");
  }
}

/** Ask in a dialog; `fields` are [name, label, kind]. Resolves to the values or null. */
export function ask(title, text, yes, fields, check) {
  const dialog = $("confirm");
  setText($("confirm-title"), title);
  setText($("confirm-text"), text);
  setText($("confirm-yes"), yes);
  setText($("confirm-error"), "");
  const inputs = fields.map(([name, label, kind]) => {
    const box = el("label", kind === "checkbox" ? "check" : "", kind === "checkbox" ? "" : label);
    const input = el("input");
    input.type = kind;
    input.name = name;
    box.append(input);
    if (kind === "checkbox") box.append(label);
    return [input, box];
  });
  $("confirm-fields").replaceChildren(...inputs.map(([, box]) => box));
  if (!dialog.open) dialog.showModal();
  (inputs[0]?.[0] ?? $("confirm-yes")).focus();
  return new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const values = () => Object.fromEntries(inputs.map(([input]) => [input.name, input.type === "checkbox" ? input.checked : input.value.trim()]));
    const end = (result) => {
      form.removeEventListener("submit", onSubmit);
      dialog.removeEventListener("close", onClose);
      $("confirm-no").onclick = null;
      if (dialog.open) dialog.close();
      resolve(result);
    };
    const onClose = () => end(null);
    const onSubmit = async (event) => {
      event.preventDefault();
      const problem = await check?.(values());
      if (problem) setText($("confirm-error"), problem);
      else end(values());
    };
    form.addEventListener("submit", onSubmit);
    dialog.addEventListener("close", onClose);
    $("confirm-no").onclick = () => end(null);
  });
}

export async function confirmKill() {
  if ($("confirm").open) return;
  const sure = await ask("KILL", "Stop entries, cancel working entries, close every position reduce-only, and halt.\nThe kill stays latched over restarts until a person clears it.", "Confirm KILL", []);
  if (sure) sendKill("admin page, keyboard");
}

async function clearKill() {
  await ask("Clear the kill latch", `Entries become possible again.\nType  ${clearPhrase}  and say why; both go into the audit log.`, "Clear", [
    ["confirm", "Confirmation", "text"], ["reason", "Reason", "text"], ["adopt", "keep positions that are still open", "checkbox"],
    ...(control.mode === "LIVE" ? [["pin", "PIN", "password"]] : []),
  ], async (values) => {
    try {
      await post("/api/admin/kill/clear", values);
      toast("kill latch cleared");
      return "";
    } catch (error) {
      return `${error.cause}: ${error.fix}`;
    }
  });
}

export async function togglePause() {
  const on = !control.paused;
  try {
    await post("/api/pause", { on });
    toast(on ? "entries paused; exits keep working. Shift+P resumes" : "entries resumed");
  } catch (error) {
    toast(`${on ? "PAUSE" : "RESUME"} failed: ${error.cause}. ${error.fix}`, "down");
  }
}

export function paintControls(next) {
  control = next;
  const pause = $("pause");
  setText(pause, next.paused ? "RESUME" : "PAUSE");
  pause.setAttribute("aria-pressed", String(next.paused));
  pause.title = next.paused ? `paused by ${next.pause_sources.join(", ")}${next.pause ? `: ${next.pause.reason}, ${clock(next.pause.time_ms)} UTC` : ""}; holds over a restart` : "stop new entries (Shift+P)";
  setClass($("kill"), `button kill${next.killed ? " latched" : ""}${$("kill").classList.contains("holding") ? " holding" : ""}`);
  $("killbar").hidden = !next.killed;
  if (next.killed) {
    const who = next.kill ? `${clock(next.kill.time_ms)} UTC by ${next.kill.source}: ${next.kill.reason}` : `by ${next.kill_sources.join(", ")}`;
    setText($("kill-why"), who);
    setText($("kill-acks"), `seen ${next.kill_seen}/${next.kill_of}${next.kill_ms === null ? "" : ` · slowest ${next.kill_ms < 1000 ? `${next.kill_ms.toFixed(1)} ms` : age(next.kill_ms)}`}${next.flat ? " · FLAT" : ""}`);
  }
}

export function watchControls() {
  const kill = $("kill");
  let timer = 0;
  const release = () => {
    clearTimeout(timer);
    timer = 0;
    kill.classList.remove("holding");
  };
  kill.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    kill.setPointerCapture(event.pointerId);
    kill.classList.add("holding");
    timer = setTimeout(() => {
      release();
      sendKill("admin page, held");
    }, HOLD_MS);
  });
  kill.addEventListener("pointerup", () => {
    if (timer) toast("hold KILL for 0.8 s", "warn");
    release();
  });
  kill.addEventListener("pointercancel", release);
  // Keyboard and assistive technology arrive as a click without a pointer.
  kill.addEventListener("click", (event) => {
    if (event.detail === 0) confirmKill();
  });
  $("pause").addEventListener("click", togglePause);
  $("kill-clear").addEventListener("click", clearKill);
  $("logout").addEventListener("click", () => post("/api/logout").finally(() => location.replace("/login")));
}
