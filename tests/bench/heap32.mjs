// Runs a script in phases on the 32-bit MicroPython under Node.
//   node heap32.mjs MICROPYTHON_MJS SCRIPT FOLDER...
// Every FOLDER is copied to /lib of the interpreter's file system. The script is cut at lines "# --- 500 ms": garbage is
// only collected between two calls into the interpreter, and tasks run while nobody calls, so each part is a call of its
// own, with so much time after the one before, or until the script says `done = True`.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const [module, script, ...folders] = process.argv.slice(2);
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
const parts = readFileSync(script, "utf8").split(/^# --- (\d+) ms.*$/m);
for (let index = 0; index < parts.length; index += 2) {
  try {
    python.runPython(parts[index]);
  } catch (error) {
    console.log(error.message); // not the stack: it would print the whole interpreter
    process.exit(1);
  }
  for (let left = Number(parts[index + 1] ?? 0); left > 0 && !python.globals.get("done"); left -= 100) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, 100)));
  }
  await new Promise((resolve) => setTimeout(resolve, 0));
}
process.exit(0);
