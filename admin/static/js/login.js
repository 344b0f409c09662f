// Exchanges the one-time token of the URL fragment (never sent in a URL, never in a log) or a password for a session.
const note = document.getElementById("note");

async function login(content) {
  note.textContent = "Logging in…";
  try {
    const response = await fetch("/api/login", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
    });
    if (response.ok) {
      location.replace("/");
      return;
    }
    const answer = await response.json();
    note.textContent = `${answer.retMsg}: ${answer.retExtInfo.hint}`;
  } catch {
    note.textContent = "The admin process does not answer.";
  }
  note.className = "bad";
}

function tryFragment() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", "/login");
  login({ token });
}

document.getElementById("form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  login({ password: document.getElementById("password").value });
});
addEventListener("hashchange", tryFragment);
tryFragment();
