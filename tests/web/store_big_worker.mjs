// Writes beyond 2^31 and 2^32 bytes of a file of the origin, and reads them back. A worker, since
// files are opened for writing in place there alone.

import { OpfsFiles } from "/store/opfs_files.mjs";

onmessage = async ({ data: places }) => {
  try {
    const files = await OpfsFiles.open("lbm-big");
    const file = await files.open("big");
    for (const at of places) file.write(at, new TextEncoder().encode(String(at)));
    file.flush();
    file.close();
    const blob = await files.blob("big");
    const found = [];
    for (const at of places) found.push(await blob.slice(at, at + String(at).length).text());
    const { size } = await files.stat("big");
    await files.remove("big");
    postMessage({ found, size, left: (await files.list()).length });
  } catch (error) {
    postMessage({ error: error.message });
  }
};
