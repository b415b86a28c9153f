// The HTML report in a real browser: silent, whole without scripts, sound for keyboards and screen readers, on screens of
// every width, in light and dark, and on paper. Throws with everything that is wrong; prints what was looked at.
import { statSync } from "node:fs";
import { basename } from "node:path";
import { module, open, withBrowser } from "./open.mjs";

const AXE = module("axe-core/axe.min.js");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 320, height: 700 };
// Of pages as long as this, axe looks at what may go wrong because they are long: all else would take minutes.
const LONG = 1_000_000;
const STRUCTURE = ["heading-order", "landmark-unique", "region", "empty-heading", "scrollable-region-focusable", "list"];
// Stops of the keyboard that are walked.
const STOPS = 80;

const wrong = [];
const say = (name, what) => wrong.push(`${name}: ${what}`);

/** As a reader opens it: the page's own policy in force, and no script to run. */
async function plain(browser, path, name) {
  const { page, heard, close } = await open(browser, path, { javaScriptEnabled: false, forcedColors: "active" });
  if (!(await page.locator("h1").isVisible())) say(name, "no heading is visible");
  heard.forEach((what) => say(name, what));
  await close();
}

/** What holds for every page, whatever it tells. Runs in the page. */
function structure() {
  const found = [];
  const all = [...document.querySelectorAll("*")];
  const ids = new Set();
  for (const one of all) {
    if (one.id && ids.has(one.id)) found.push(`two elements have the id ${one.id}`);
    if (one.id) ids.add(one.id);
    for (const { name, value } of one.attributes) {
      if (name.startsWith("on") || name === "style" || name === "src") found.push(`attribute ${name}=${value}`);
    }
  }
  const never = "script, img, iframe, object, embed, form, link, base, video, audio, foreignObject, meta[http-equiv=refresh]";
  document.querySelectorAll(never).forEach((one) => found.push(`element ${one.outerHTML.slice(0, 80)}`));
  if (document.querySelectorAll("style").length !== 1) found.push("more than one style");
  for (const link of document.querySelectorAll("a, use")) {
    const href = link.getAttribute("href");
    if (href.startsWith("#")) {
      if (!ids.has(href.slice(1))) found.push(`${href} leads nowhere`);
    } else if (!href.startsWith("https://") || link.rel !== "noreferrer noopener") {
      found.push(`link ${link.outerHTML.slice(0, 120)}`);
    }
  }
  if (/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u0000-\u0008]/.test(document.body.textContent)) {
    found.push("a character that reorders or hides what is read");
  }
  if (!document.head.querySelector("meta[http-equiv='Content-Security-Policy'][content^=\"default-src 'none'\"]")) {
    found.push("no policy of what may be loaded");
  }
  return found;
}

/** Contrast of what axe does not look at: words and lines of the charts. Runs in the page. */
function contrast() {
  const channels = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = getComputedStyle(document.body).backgroundColor;
  const found = new Set();
  const check = (selector, of, least) => {
    for (const one of document.querySelectorAll(selector)) {
      const color = getComputedStyle(one)[of];
      const seen = color.startsWith("rgb") ? ratio(color, ground) : 0;
      if (seen < least) found.add(`${selector} has ${of} ${color} on ${ground}: ${seen.toFixed(2)}`);
    }
  };
  check("svg text", "fill", 4.5);
  check(".bar.active", "fill", 3);
  check(".bar.announced, .bar.grace, .bar.expired, .bar.withdrawn, .mark, line.now, .sign", "stroke", 3);
  return [...found];
}

/** In one colour scheme, at one width: as it comes, and with everything unfolded. */
async function looked(page, name, mode) {
  const here = `${name}, ${mode.scheme}, ${mode.viewport.width} px`;
  await page.setViewportSize(mode.viewport);
  await page.emulateMedia({ colorScheme: mode.scheme, reducedMotion: "reduce" });
  for (const open of [false, true]) {
    await unfold(page, open);
    const [width, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    if (width > window) say(here, `the page is ${width} px wide`);
  }
  (await page.evaluate(contrast)).forEach((what) => say(here, what));
  if ((await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior)) !== "auto") {
    say(here, "it moves although less motion is asked for");
  }
  if (!mode.axe) return;
  const runOnly = mode.long ? { type: "rule", values: STRUCTURE } : { type: "tag", values: TAGS };
  const { violations } = await page.evaluate((asked) => axe.run(document, asked), { runOnly, resultTypes: ["violations"] });
  for (const { id, help, nodes } of violations) {
    say(here, `axe: ${id}: ${help}: ${nodes.length} times, first ${nodes[0].html.slice(0, 160)}`);
  }
}

const unfold = (page, open) =>
  page.evaluate((open) => document.querySelectorAll("details").forEach((one) => (one.open = open)), open);

/** The keyboard alone: the skip link first, then every stop, each seen. */
async function walked(browser, path, name, most) {
  const { page, heard, close } = await open(browser, path, { reducedMotion: "reduce" });
  const stops = await page.evaluate(() =>
    [...document.querySelectorAll("a[href], summary, [tabindex='0']")].filter((one) => one.checkVisibility()).length);
  const now = () => page.evaluate(() => {
    const one = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(one);
    const { top, bottom, width } = one.getBoundingClientRect();
    const seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && width > 0 && bottom > 0 && top < innerHeight;
    return { tag: one.tagName, html: one.outerHTML.slice(0, 100), text: one.textContent, seen };
  });
  for (let stop = 0; stop < Math.min(stops, most); stop += 1) {
    await page.keyboard.press("Tab");
    const at = await now();
    if (stop === 0 && at.text !== "Skip to the report") say(name, `the first stop is ${at.html}`);
    if (at.tag === "BODY") say(name, `only ${stop} of ${stops} stops are reached`);
    if (!at.seen) say(name, `nobody sees that ${at.html} has the focus`);
  }
  await page.evaluate(() => document.activeElement.blur());
  await page.goto(page.url().split("#")[0]);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const main = await page.evaluate(() => document.activeElement.id);
  if (main !== "main") say(name, `the skip link leads to ${main || "nothing"}`);
  heard.forEach((what) => say(name, what));
  await close();
  return stops;
}

/** How many sheets of paper. */
async function sheets(page) {
  const paper = (await page.pdf({ format: "A4" })).toString("latin1");
  return paper.match(/\/Type\s*\/Page\b/g)?.length ?? 0;
}

/** On paper: never dark, and everything is there that is folded on a screen. */
async function printed(page, name, wanted) {
  await unfold(page, false);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  const { ground, lost } = await page.evaluate(() => ({
    ground: getComputedStyle(document.body).backgroundColor,
    lost: [...document.querySelectorAll("details > :not(summary)")]
      .filter((one) => one.textContent.trim() && !(one.checkVisibility() && one.getBoundingClientRect().height > 0))
      .map((one) => one.outerHTML.slice(0, 100)),
  }));
  if (ground !== "rgb(255, 255, 255)") say(name, `paper is ${ground}`);
  if (lost.length) say(name, `${lost.length} folded parts are not on paper, first ${lost[0]}`);
  if (!wanted) return "";
  const folded = await sheets(page);
  await unfold(page, true);
  const unfolded = await sheets(page);
  if (folded !== unfolded || folded === 0) say(name, `${folded} sheets, and ${unfolded} with everything unfolded`);
  return `, ${folded} sheets`;
}

/** The first page has all that there is: it is looked at in every mode, the others in two, and by axe in one of them. */
function modes(index, long) {
  const mode = (scheme, viewport, axe) => ({ scheme, viewport, axe, long });
  const [light, dark] = [mode("light", WIDE, index % 2 === 0 || long), mode("dark", NARROW, index % 2 === 1 && !long)];
  return index > 0 ? [light, dark] : [light, { ...dark, axe: true }, mode("dark", WIDE, true), mode("light", NARROW, true)];
}

async function judge(browser, path, index) {
  const name = basename(path, ".html");
  const started = Date.now();
  await plain(browser, path, name);
  const long = statSync(path).size > LONG;
  const stops = await walked(browser, path, name, index === 0 ? STOPS : long ? 5 : STOPS / 4);
  // axe needs what the page's policy forbids.
  const { page, heard, close } = await open(browser, path, { bypassCSP: true });
  (await page.evaluate(structure)).forEach((what) => say(name, what));
  await page.evaluate(AXE);
  for (const mode of modes(index, long)) await looked(page, name, mode);
  const paper = await printed(page, name, index < 2);
  heard.forEach((what) => say(name, what));
  await close();
  console.log(`${name}: ${statSync(path).size} bytes, ${stops} stops${paper}, ${Date.now() - started} ms`);
}

await withBrowser(async (browser) => {
  const pages = [...process.argv.slice(2).entries()];
  // Two at a time: as many as small machines have cores.
  const lane = async () => {
    for (let next = pages.shift(); next; next = pages.shift()) await judge(browser, next[1], next[0]);
  };
  await Promise.all([lane(), lane()]);
});
if (wrong.length) throw new Error(`${wrong.length} faults\n${wrong.slice(0, 60).join("\n")}`);
