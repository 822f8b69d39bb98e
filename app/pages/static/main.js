// Starts what a page has.

import { start as startActions } from "./actions.js";
import { start as startFollowing } from "./follow.js";
import { begin } from "./live.js";
import { start as startUpload } from "./upload.js";

const each = (selector, start) => document.querySelectorAll(selector).forEach(start);

startActions();
each("[data-upload]", startUpload);
begin(document.body);
each("[data-follow]", startFollowing);

if (document.querySelector("[data-sign-in], [data-sign-out]")) {
  const { signIn, signOut } = await import("./session.js");
  each("[data-sign-in]", signIn);
  each("[data-sign-out]", signOut);
}
if (document.querySelector("[data-reading]")) each("[data-reading]", (await import("./reading.js")).start);
if (document.querySelector("[data-compress]")) each("[data-compress]", (await import("./compress.js")).start);
