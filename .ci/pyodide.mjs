// Run pyodide.py, which is beside this file, in Pyodide. See the script `pyodide`.
import { readFileSync } from "node:fs";
import { loadPyodide, version } from "pyodide";

const folder = process.argv[2];
const pyodide = await loadPyodide();
pyodide.FS.mkdir("/site");
pyodide.mountNodeFS("/site", `${folder}/site`);
pyodide.runPython("import sys; sys.path.insert(0, '/site')");
console.log(`Pyodide ${version} under node ${process.version}`);
await pyodide.runPythonAsync(readFileSync(`${folder}/pyodide.py`, "utf8"));
