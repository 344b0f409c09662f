// The controls of a replay, on every page of it: play, pause, step, seek, speed. In a running system there is no bar and
// nothing here does anything.
import { toast } from "./controls.js";
import { $, el, setClass, setText } from "./dom.js";
import { clock, count, plural } from "./format.js";
import { get, post } from "./net.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 50, 100, 1000, 0]; // 0: as fast as possible
const SKIP_MS = 10_000;
const FAR_MS = 60_000;
const STEP_MS = 100;
const PLAYS = new Set(["PLAYING", "SEEKING"]);
const bar = $("replay-bar");
let now = null; // state of the replay as last told
let dragging = false;
let wanted = null; // time asked for and not yet told as the target

const speedText = (speed) => (speed === 0 ? "max" : `${speed}×`);

async function act(action, more = {}) {
  try {
    paint((await post("/api/replay", { action, ...more })).replay);
  } catch (error) {
    toast(`replay: ${error.cause}`, "down");
  }
}

const toggle = () => act(PLAYS.has(now?.state) ? "pause" : "play");
const seek = (ms) => {
  wanted = Math.min(Math.max(ms, now.from_ts), now.to_ts);
  act("seek", { to: wanted }).finally(() => { wanted = null; });
};
const skip = (ms) => now && seek((wanted ?? now.target_ts ?? now.ts) + ms);

function faster(steps) {
  const at = SPEEDS.indexOf(now?.speed);
  const next = SPEEDS[Math.min(Math.max((at < 0 ? SPEEDS.indexOf(1) : at) + steps, 0), SPEEDS.length - 1)];
  act("speed", { speed: next === 0 ? "max" : next });
}

/** The state every head of the push channel carries; null in a running system. */
export function paintReplay(replay) {
  if (bar && replay) paint(replay);
}

function paint(replay) {
  const arrived = now !== null && now.state === "SEEKING" && replay.state !== "SEEKING";
  now = replay;
  if (arrived) document.dispatchEvent(new Event("replay-moved")); // what was asked for by REST is of another time
  const span = Math.max(replay.to_ts - replay.from_ts, 1);
  const plays = PLAYS.has(replay.state);
  setText($("replay-toggle"), plays ? "❚❚" : "▶");
  $("replay-toggle").setAttribute("aria-label", plays ? "pause" : "play");
  $("replay-toggle").setAttribute("aria-pressed", String(plays));
  setText($("replay-time"), `${new Date(replay.ts).toISOString().slice(0, 10)} ${clock(replay.ts, true)}`);
  setText($("replay-left"), `${length(replay.ts - replay.from_ts)} of ${length(span)}`);
  const words = { PLAYING: "playing", PAUSED: "paused", ENDED: "at the end", FAILED: "failed: see logs/player.log", NONE: "starting" };
  const part = replay.target_ts === null || replay.ts > replay.target_ts ? null : Math.max((replay.ts - replay.from_ts) / Math.max(replay.target_ts - replay.from_ts, 1), 0);
  setText($("replay-state"), replay.state === "SEEKING" ? (part === null ? `going back to ${clock(replay.target_ts)}` : `seeking ${clock(replay.target_ts)} · ${Math.round(100 * part)} %`) : words[replay.state] ?? replay.state);
  setClass($("replay-state"), replay.state === "FAILED" ? "bad" : "");
  if (!dragging) $("replay-at").value = String((1000 * (replay.ts - replay.from_ts)) / span);
  $("replay-at").setAttribute("aria-valuetext", `${clock(replay.ts)} UTC`);
  if (document.activeElement !== $("replay-speed")) $("replay-speed").value = String(replay.speed);
  const verdict = replay.differences ? `${plural(replay.differences, "difference")} from the run` : replay.verdict === "identical" ? "identical with the run, to the end" : `no difference in ${plural(replay.checks, "digest", count(replay.checks))} and ${plural(replay.decisions, "decision", count(replay.decisions))}`;
  setText($("replay-proof"), verdict);
  setClass($("replay-proof"), replay.differences ? "link bad" : "link dim");
}

function length(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  const two = (v) => String(v).padStart(2, "0");
  return `${h ? `${h}:${two(m)}` : m}:${two(s % 60)}`;
}

/** Keys of a replay, for every page of it. */
export function replayKeys(event) {
  if (!bar || !now) return {};
  return {
    " ": event.target.closest("button, a, summary") ? null : toggle, ".": () => act("step", { ms: STEP_MS }), ",": () => act("step"),
    "[": () => skip(-SKIP_MS), "]": () => skip(SKIP_MS), "{": () => skip(-FAR_MS),
    "}": () => skip(FAR_MS), "-": () => faster(-1), "+": () => faster(1), "=": () => faster(1),
  };
}

/** What differs, in a dialog: the first differences with both sides, and what the journal lacks. */
async function tellProof() {
  const found = await get("/api/replay/status").catch(() => null);
  if (!found) return;
  const lines = [...(found.differences ?? []), ...(found.notes ?? []).map((note) => `note: ${note}`)];
  setText($("proof-text"), `${$("replay-proof").textContent}\ndigest of engines and account here: ${found.replay.digest}\n\n${lines.join("\n\n") || "Nothing differs so far."}`);
  $("proof").showModal();
}

async function paintMarks() {
  const found = await get("/api/replay/status").catch(() => null);
  if (!found?.replay?.to_ts || !found.replay.from_ts) {
    setTimeout(paintMarks, 1000); // the player has not begun yet
    return;
  }
  paint(found.replay);
  setText($("replay-run"), `${found.run_id} · ${found.mode ?? ""} · ${found.source ?? ""}`);
  const span = Math.max(found.replay.to_ts - found.replay.from_ts, 1);
  const canvas = $("replay-marks");
  const draw = () => {
    const ratio = devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
    const c = canvas.getContext("2d");
    c.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    for (const [ts, kind] of found.marks) {
      c.fillStyle = style.getPropertyValue(kind === "entry" ? "--up" : "--warn");
      c.fillRect(Math.round((w * (ts - found.replay.from_ts)) / span), kind === "entry" ? 0 : h / 2, 2, h / 2);
    }
  };
  draw();
  new ResizeObserver(draw).observe(canvas);
  canvas.setAttribute("aria-label", plural(found.marks.length, "fill"));
}

export function watchReplay() {
  if (!bar) return;
  $("replay-speed").replaceChildren(...SPEEDS.map((speed) => {
    const option = el("option", "", speedText(speed));
    option.value = String(speed);
    return option;
  }));
  $("replay-speed").value = "1";
  $("replay-speed").addEventListener("change", (event) => act("speed", { speed: event.target.value === "0" ? "max" : Number(event.target.value) }));
  $("replay-toggle").addEventListener("click", toggle);
  $("replay-step").addEventListener("click", () => act("step", { ms: STEP_MS }));
  $("replay-read").addEventListener("click", () => act("step"));
  $("replay-back").addEventListener("click", () => skip(-SKIP_MS));
  $("replay-on").addEventListener("click", () => skip(SKIP_MS));
  $("replay-proof").addEventListener("click", tellProof);
  $("replay-start").addEventListener("click", () => now && seek(now.from_ts));
  $("replay-at").addEventListener("input", () => { dragging = true; });
  $("replay-at").addEventListener("change", (event) => {
    dragging = false;
    if (now) seek(now.from_ts + (Number(event.target.value) / 1000) * (now.to_ts - now.from_ts));
    event.target.blur();
  });
  bar.addEventListener("click", (event) => { if (event.detail > 0) event.target.closest("button")?.blur(); }); // Space plays, it does not press again
  paintMarks();
}
