// Runs the script of a review page in a few lines of DOM: accepts item 0, edits item 1, rejects item 2, saves.
// node review_page.js PAGE OUT
const fs = require("fs");
const page = fs.readFileSync(process.argv[2], "utf8");
class Element {
  constructor() { this.dataset = {}; this.listeners = {}; this.value = ""; this.textContent = ""; }
  addEventListener(name, f) { (this.listeners[name] ??= []).push(f); }
  fire(name) { (this.listeners[name] || []).forEach(f => f()); }
  querySelectorAll(q) { return q === "textarea" ? this.areas : this.radios; }
  querySelector(q) {
    if (q === ".note") return this.note;
    if (q.endsWith(":checked")) return this.radios.find(r => r.checked) || null;
    return this.radios.find(r => r.value === q.match(/value=(\w+)/)[1]);
  }
  click() {}
}
const articles = page.split("<article").slice(1).map(text => {
  const e = new Element();
  e.dataset.id = text.match(/data-id="([^"]+)"/)[1];
  e.areas = [...text.matchAll(/<textarea[^>]*>([\s\S]*?)<\/textarea>/g)].map(m => {
    const area = new Element();
    area.defaultValue = area.value = m[1];
    area.readOnly = true;
    return area;
  });
  e.radios = ["accept", "edit", "reject"].map(v => Object.assign(new Element(), { value: v, checked: false }));
  e.note = new Element();
  return e;
});
const byId = Object.fromEntries(["reviewer", "save", "next", "progress", "start"].map(i => [i, new Element()]));
byId.start.textContent = page.match(/id="start">([\s\S]*?)<\/script>/)[1];
const kept = {};
let saved = null;
global.document = {
  getElementById: i => byId[i],
  querySelectorAll: () => articles,
  createElement: () => new Element(),
};
global.localStorage = { getItem: k => kept[k] ?? null, setItem: (k, v) => { kept[k] = v; } };
global.Blob = class { constructor(parts) { saved = parts[0]; } };
global.URL = { createObjectURL: () => "blob:" };
(0, eval)("(function () {" + page.match(/<script>\n([\s\S]*?)<\/script>/)[1] + "})()");
function choose(n, verdict) {
  articles[n].radios.forEach(r => { r.checked = r.value === verdict; });
  articles[n].fire("input");
  articles[n].fire("change");
}
choose(0, "accept");
choose(1, "edit");
if (articles[1].areas.some(a => a.readOnly)) throw new Error("an item under edit is locked");
articles[1].areas.forEach(a => { a.value = "改过"; });
articles[1].fire("input");
choose(2, "reject");
byId.reviewer.value = "甲";
byId.save.onclick();
fs.writeFileSync(process.argv[3], saved);
