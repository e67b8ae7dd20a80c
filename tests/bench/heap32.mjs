// Runs a script in phases on the 32-bit MicroPython under Node.
//   node heap32.mjs MICROPYTHON_MJS SCRIPT WAIT_MS FOLDER...
// Every FOLDER is copied to /lib of the interpreter's file system. The script is cut at lines "# ---": garbage is only
// collected between two calls into the interpreter, and tasks run while nobody calls, so each part is a call of its own,
// with WAIT_MS in between.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const [module, script, wait, ...folders] = process.argv.slice(2);
const { loadMicroPython } = await import(module);
const python = await loadMicroPython({ stdout: (line) => console.log(line), linebuffer: true });

function copy(from, to) {
  for (const name of readdirSync(from)) {
    const source = join(from, name);
    if (statSync(source).isDirectory()) {
      try { python.FS.mkdir(`${to}/${name}`); } catch { /* is there */ }
      copy(source, `${to}/${name}`);
    } else {
      python.FS.writeFile(`${to}/${name}`, readFileSync(source));
    }
  }
}

try { python.FS.mkdir("/lib"); } catch { /* is there */ }
for (const folder of folders) copy(folder, "/lib");
for (const phase of readFileSync(script, "utf8").split(/^# ---.*$/m)) {
  python.runPython(phase);
  await new Promise((resolve) => setTimeout(resolve, Number(wait)));
}
process.exit(0);
