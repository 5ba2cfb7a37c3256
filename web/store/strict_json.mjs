// JSON that was written by somebody else and decides what happens next. Stricter than JSON itself,
// as tools/strict_json.h is: a key that stands twice is refused (readers disagree about which one
// counts, which is how a file says one thing to a checker and another to a user), nesting and size
// are bounded, numbers are exact integers, and an object is read through Fields, which knows every
// key that may stand in it.

import { StoreError } from "./errors.mjs";

export const MAX_JSON_BYTES = 16 * 1024 * 1024;
const MAX_DEPTH = 16;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

class Parser {
  #text;
  #name;
  #at = 0;

  constructor(text, name) {
    this.#text = text;
    this.#name = name;
  }

  whole() {
    const value = this.#value(0);
    this.#space();
    if (this.#at !== this.#text.length) this.#fail("text after the end");
    return value;
  }

  #fail(what) {
    throw new StoreError("bad_manifest", `${this.#name}: ${what} at character ${this.#at}`);
  }

  #space() {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) ++this.#at;
  }

  #take(text) {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #value(depth) {
    if (depth > MAX_DEPTH) this.#fail(`nested deeper than ${MAX_DEPTH}`);
    this.#space();
    if (this.#take("{")) return this.#object(depth);
    if (this.#take("[")) return this.#array(depth);
    if (this.#take('"')) return this.#string();
    if (this.#take("true")) return true;
    if (this.#take("false")) return false;
    if (this.#take("null")) return null;
    return this.#number();
  }

  #object(depth) {
    const object = Object.create(null); // "__proto__" is a key like any other
    this.#space();
    if (this.#take("}")) return object;
    do {
      this.#space();
      if (!this.#take('"')) this.#fail("a key is needed");
      const key = this.#string();
      if (Object.hasOwn(object, key)) this.#fail(`the key '${key.slice(0, 64)}' stands twice`);
      this.#space();
      if (!this.#take(":")) this.#fail("':' is needed");
      object[key] = this.#value(depth + 1);
      this.#space();
    } while (this.#take(","));
    if (!this.#take("}")) this.#fail("',' or '}' is needed");
    return object;
  }

  #array(depth) {
    const array = [];
    this.#space();
    if (this.#take("]")) return array;
    do {
      array.push(this.#value(depth + 1));
      this.#space();
    } while (this.#take(","));
    if (!this.#take("]")) this.#fail("',' or ']' is needed");
    return array;
  }

  #string() {
    let text = "";
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) this.#fail("a text does not end");
      ++this.#at;
      if (char === '"') break;
      if (char < " ") this.#fail("a control character in a text");
      text += char === "\\" ? this.#escape() : char;
    }
    if (!text.isWellFormed()) this.#fail("half a character (a lone surrogate)");
    return text;
  }

  #escape() {
    const char = this.#text[this.#at++] ?? "";
    if (Object.hasOwn(ESCAPES, char)) return ESCAPES[char];
    const digits = this.#text.slice(this.#at, this.#at + 4);
    if (char !== "u" || !/^[0-9A-Fa-f]{4}$/.test(digits)) this.#fail("an escape that is none");
    this.#at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #number() {
    const found = /^-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/.exec(this.#text.slice(this.#at, this.#at + 64));
    if (!found) this.#fail("a value is needed");
    const value = Number(found[0]);
    if (!Number.isSafeInteger(value) || found[1] !== undefined || found[2] !== undefined) {
      this.#fail("a number that is no exact integer");
    }
    this.#at += found[0].length;
    return value;
  }
}

// `bytes` as a value; objects have no prototype. Throws StoreError bad_manifest.
export function parseStrictJson(bytes, name) {
  if (bytes.length > MAX_JSON_BYTES) {
    throw new StoreError("bad_manifest", `${name}: ${bytes.length} bytes; at most ${MAX_JSON_BYTES} are read`);
  }
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new StoreError("bad_manifest", `${name}: is not UTF-8`);
  }
  return new Parser(text, name).whole();
}

const HEX_DIGEST = /^[0-9a-f]{64}$/;
// A name that stays in its folder on every file system.
const PLAIN_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;

export const isDigest = (value) => typeof value === "string" && HEX_DIGEST.test(value);
export const isPlainName = (value) => typeof value === "string" && PLAIN_NAME.test(value);

// The fields of one object. Every getter names its key; done() then refuses whatever was not asked
// for, except keys that begin with "x-", which are anybody's.
export class Fields {
  #object;
  #path;
  #known = new Set();

  constructor(object, path) {
    this.#object = object;
    this.#path = path;
    if (typeof object !== "object" || object === null || Array.isArray(object)) this.fail("", "an object is needed");
  }

  fail(key, what) {
    throw new StoreError("bad_manifest", `${this.#path}${key && "."}${key}: ${what}`);
  }

  // The value; undefined where the key is absent.
  optional(key) {
    this.#known.add(key);
    return this.#object[key];
  }

  #required(key) {
    const value = this.optional(key);
    return value === undefined ? this.fail(key, "is missing") : value;
  }

  // A short printable text.
  text(key, isRequired = true) {
    const value = isRequired ? this.#required(key) : this.optional(key) ?? "";
    if (typeof value !== "string") this.fail(key, "a text is needed");
    if ((isRequired && value === "") || value.length > 1024 || /[\u0000-\u001f\u007f-\u009f]/.test(value)) {
      this.fail(key, "a short printable text is needed");
    }
    return value;
  }

  choice(key, choices) {
    const value = this.text(key);
    return choices.includes(value) ? value : this.fail(key, `'${value}' is none of ${choices.join(", ")}`);
  }

  plainName(key) {
    const value = this.text(key);
    return isPlainName(value) ? value : this.fail(key, `'${value}' is no plain file name (A-Z a-z 0-9 . _ -)`);
  }

  number(key, low, high, standard) {
    const value = standard === undefined ? this.#required(key) : this.optional(key) ?? standard;
    if (typeof value !== "number" || value < low || value > high) {
      this.fail(key, `a number from ${low} to ${high} is needed`);
    }
    return value;
  }

  flag(key) {
    const value = this.#required(key);
    return typeof value === "boolean" ? value : this.fail(key, "true or false is needed");
  }

  digest(key) {
    const value = this.#required(key);
    return isDigest(value) ? value : this.fail(key, "a SHA-256 is 64 hexadecimal digits, small letters");
  }

  array(key, isRequired = true) {
    const value = isRequired ? this.#required(key) : this.optional(key) ?? [];
    return Array.isArray(value) ? value : this.fail(key, "a list is needed");
  }

  done() {
    for (const key of Object.keys(this.#object)) {
      if (!this.#known.has(key) && !key.startsWith("x-")) {
        this.fail(key.slice(0, 64), "is not known here, and could change what the rest means");
      }
    }
  }
}
