// Parses and draws the Mermaid charts of Markdown files with Mermaid itself. A line a chart: its file, and what Mermaid made
// of it, as JSON.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { module, open, withBrowser } from "./open.mjs";

await withBrowser(async (browser) => {
  const { page, heard } = await open(browser, process.argv[2], { timezoneId: "UTC" });
  await page.addScriptTag({ content: module("mermaid/dist/mermaid.min.js") });
  await page.evaluate(() => window.mermaid.initialize({ startOnLoad: false, securityLevel: "strict" }));
  for (const path of process.argv.slice(3)) {
    const charts = [...readFileSync(path, "utf8").matchAll(/^```mermaid\n([^]*?)^```$/gm)];
    for (const [, text] of charts) {
      const made = await page.evaluate(async (text) => {
        try {
          const { db, type } = await window.mermaid.mermaidAPI.getDiagramFromText(text);
          const tasks = db.getTasks().map(({ section, task, startTime, endTime, active, crit, done }) =>
            ({ section, task, active, crit, done, from: startTime.toISOString(), to: endTime.toISOString() }));
          const { svg } = await window.mermaid.render("chart", text);
          const drawn = new DOMParser().parseFromString(svg, "text/html").querySelectorAll("rect.task").length;
          return { type, title: db.getDiagramTitle(), sections: db.getSections(), tasks, drawn };
        } catch (error) {
          return { error: String(error.message ?? error) };
        }
      }, text);
      console.log(`${basename(path)} ${JSON.stringify({ ...made, heard: heard.splice(0) })}`);
    }
  }
});
