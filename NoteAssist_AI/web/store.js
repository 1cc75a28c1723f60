/** Data for offline use, in IndexedDB. Signing out deletes it. */

const NAME = "noteassist";
const STORES = ["reviews", "kept"];
let database = null;

function open() {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => STORES.forEach((name) => request.result.createObjectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return database;
}

/** Run `use` in a transaction on one store; return its result when the transaction is complete. */
async function within(name, mode, use) {
  const transaction = (await open()).transaction(name, mode);
  const request = use(transaction.objectStore(name));
  if (mode === "readwrite") transaction.commit(); // at once, as the user may leave the page
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

export const put = (name, key, value) => within(name, "readwrite", (store) => store.put(value, key));
export const get = (name, key) => within(name, "readonly", (store) => store.get(key));
export const all = (name) => within(name, "readonly", (store) => store.getAll());
export const remove = (name, key) => within(name, "readwrite", (store) => store.delete(key));
export const clear = (name) => within(name, "readwrite", (store) => store.clear());
