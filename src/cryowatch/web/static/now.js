// What time it is: now, or on a page that was made once (a report), when it was made.

const made = Number(document.documentElement.dataset.made);

export const now = () => made || Date.now();
