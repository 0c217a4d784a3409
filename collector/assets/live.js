// Loads the page again while a person looks at it, and keeps what this person types, has opened, or has focused. Pages
// are whole without this script.
"use strict";
(() => {
  const stale = document.getElementById("stale");
  async function refresh() {
    const main = document.querySelector("main");
    if (document.hidden || main.contains(document.activeElement) || String(getSelection())) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw answer.status;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const open = [...main.querySelectorAll("details[open]")].map((it) => it.id);
      for (const part of ["main", "footer"]) document.querySelector(part).replaceWith(next.querySelector(part));
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      document.title = next.title;
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }
  setInterval(refresh, 30000);
  document.addEventListener("visibilitychange", refresh);
})();
