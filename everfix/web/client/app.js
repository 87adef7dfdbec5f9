// What every page does beyond links and forms: partial updates (htmx), the colour theme, menus, copying, downloads.
import htmx from "htmx.org";

window.htmx = htmx;
const root = document.documentElement;

// ---- theme: the cookie is read by the server, so the next page comes in the right colours at once
const systemDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return root.dataset.theme === "dark" || (root.dataset.theme !== "light" && systemDark.matches);
}

function announceTheme() {
  document.dispatchEvent(new CustomEvent("everfix:theme", { detail: { dark: isDark() } }));
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (!form) return;
  event.preventDefault();
  const theme = isDark() ? "light" : "dark";
  root.dataset.theme = theme;
  const secure = location.protocol === "https:" ? ";Secure" : "";
  document.cookie = `everfix_theme=${theme};Path=/;Max-Age=31536000;SameSite=Lax${secure}`;
  form.elements.theme.value = theme === "dark" ? "light" : "dark";
  announceTheme();
});
systemDark.addEventListener("change", announceTheme);

// ---- menus made of <details>: one open at a time, closed by Escape, by a click elsewhere and by choosing
function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details[data-menu]"));
  const chosen = event.target.closest("details[data-menu=''] button, details[data-menu=''] a");
  if (chosen) setTimeout(() => closeMenus(null));
  const copier = event.target.closest("[data-copy]");
  if (copier) copy(copier);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details[data-menu][open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent.trim());
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1500);
}

// ---- an export that has just finished is handed to the browser once
document.addEventListener("htmx:after:swap", () => {
  for (const link of document.querySelectorAll("a[data-download-now]")) {
    link.removeAttribute("data-download-now");
    link.click();
  }
});

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-dismiss]");
  if (!closer) return;
  const form = closer.closest("form");
  closer.closest(closer.dataset.dismiss)?.remove();
  form?.dispatchEvent(new Event("change", { bubbles: true }));
});

// ---- figures that keep up with what happens, unless nobody looks or somebody reads what is behind one
setInterval(() => {
  if (document.hidden || document.querySelector("#figures details[open]")) return;
  for (const part of document.querySelectorAll("[data-refresh]")) part.dispatchEvent(new Event("everfix:refresh"));
}, 30_000);

document.addEventListener("change", (event) => event.target.closest("form[data-submit-on-change]")?.requestSubmit());
for (const button of document.querySelectorAll("[data-no-script]")) button.hidden = true;

// ---- a report was saved from a menu: the menu has done its work
document.addEventListener("htmx:after:swap", () => {
  if (document.querySelector("#notices [data-saved]")) closeMenus(null);
});

// ---- a page kept by the browser's back button may show what has changed since, or a session that has ended
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// ---- the bell: the server says whenever the number of unread notifications changes; the browser connects again by itself
if (document.querySelector("[data-bell]") && window.EventSource) {
  const source = new EventSource("/notifications/stream");
  source.addEventListener("unread", (event) => {
    for (const badge of document.querySelectorAll("[data-unread]")) {
      badge.textContent = event.data;
      badge.hidden = event.data === "0";
    }
  });
  addEventListener("pagehide", () => source.close());
}
